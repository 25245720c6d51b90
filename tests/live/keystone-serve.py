#!/usr/bin/env python3
"""A Keystone on loopback over SQLite: keystone-serve.py DIR PORT [SECONDS], by the Python of a virtual environment with
keystone. A token is valid for SECONDS, or for an hour.

On the first start, creates keys, tables, and the user `admin` with the password `sesame` in the project
`admin`, all in DIR."""
import os, sys

directory, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
configuration = os.path.join(directory, 'keystone.conf')
is_new = not os.path.exists(configuration)
keys = {section: os.path.join(directory, section) for section in ('fernet_tokens', 'fernet_receipts', 'credential')}
if is_new:
    for path in keys.values():
        os.makedirs(path, mode=0o700)
    with open(configuration, 'w') as file:
        file.write(f'[database]\nconnection = sqlite:///{directory}/keystone.db\n')
        # Slow password hashes protect nothing in a test.
        file.write('[identity]\npassword_hash_rounds = 4\n')
        # A cache in the memory of the process, so that a revocation is effective at once.
        file.write('[cache]\nenabled = false\n')
        for section, path in keys.items():
            file.write(f'[{section}]\nkey_repository = {path}\n')
if sys.argv[3:]:
    with open(configuration, 'a') as file:
        file.write(f'[token]\nexpiration = {int(sys.argv[3])}\n')
os.environ['OS_KEYSTONE_CONFIG_FILES'] = configuration
os.environ['OS_KEYSTONE_CONFIG_DIR'] = directory


def manage(*command):
    """Runs keystone-manage in a fork, because it reads its command line once and its imports are slow."""
    child = os.fork()
    if child == 0:
        cli.main(['keystone-manage', '--config-file', configuration, *command])
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f'keystone-manage {command[0]} failed')


if is_new:
    import getpass, grp
    from keystone.cmd import cli
    me = ['--keystone-user', getpass.getuser(), '--keystone-group', grp.getgrgid(os.getgid()).gr_name]
    manage('db_sync')
    manage('fernet_setup', *me)
    manage('credential_setup', *me)
    manage('bootstrap', '--bootstrap-password', 'sesame', '--bootstrap-public-url', f'http://127.0.0.1:{port}/v3')

sys.argv = ['keystone']
from werkzeug.serving import run_simple
from keystone.server import wsgi
run_simple('127.0.0.1', port, wsgi.initialize_public_application(), threaded=True)
