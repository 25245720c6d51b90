#!/usr/bin/env bash
# gnocchi.sh start DIR PORT PAGE   starts a Gnocchi (API and metricd) over a private PostgreSQL, with all files in DIR
# gnocchi.sh api DIR PORT          restarts the API after it was killed
# gnocchi.sh remote-user DIR PORT  restarts the API, which then trusts the user in the header X-Remote-User
# gnocchi.sh keystone DIR PORT URL restarts the API, which then validates tokens with a Keystone
# gnocchi.sh stop DIR              ends the started processes by their process ids
#
# GNOCCHI_VENV is the virtual environment with gnocchi. PostgreSQL refuses root, so root starts it as `postgres`. This
# user needs access to every parent of DIR. Authentication is basic, with the user "admin" and no password.
set -euo pipefail
command=$1 dir=$(realpath -m "$2") port=${3:-0} page=${4:-1000}
venv=${GNOCCHI_VENV:?}
pg=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# The process gets its own session, so that workers end with their parent.
background() { # NAME COMMAND…
    local name=$1; shift
    setsid "$@" > "$dir/$name.log" 2>&1 < /dev/null & echo $! > "$dir/$name.pid"
}

stop() {
    for name in api metricd; do
        [ -s "$dir/$name.pid" ] || continue
        kill -KILL -- "-$(cat "$dir/$name.pid")" 2>/dev/null || true
        rm -f "$dir/$name.pid"
    done
    [ ! -s "$dir/pg/postmaster.pid" ] || as_postgres "$pg/pg_ctl" -D "$dir/pg" -m immediate -w stop > /dev/null || true
}

api() {
    # `gnocchi-api` would run uwsgi, which must be compiled; werkzeug is already installed.
    background api "$venv/bin/python" -c '
import sys
port, configuration = int(sys.argv[1]), sys.argv[2]
sys.argv = ["gnocchi-api", "--config-file", configuration]
from werkzeug.serving import run_simple
from gnocchi.cli import api
from gnocchi.rest import app
gnocchi = app.load_app(api.prepare_service())
def serve(environment, start):
    # This replaces a web server that authenticates clients. Gnocchi 4.7.1 needs bytes here, not text.
    if "HTTP_X_REMOTE_USER" in environment:
        environment["REMOTE_USER"] = environment["HTTP_X_REMOTE_USER"].encode()
    return gnocchi(environment, start)
run_simple("127.0.0.1", port, serve, threaded=True)
' "$port" "$dir/gnocchi.conf"
}

case $command in
stop) stop ;;
api) api ;;
remote-user)
    sed -i "s|^auth_mode = .*|auth_mode = remoteuser|" "$dir/gnocchi.conf"
    api
    ;;
keystone)
    # Keystone's middleware reads its own configuration file.
    paste=$("$venv/bin/python" -c 'import gnocchi.rest as rest; print(rest.__path__[0])')/api-paste.ini
    sed "s|^oslo_config_project.*|&\noslo_config_file = $dir/gnocchi.conf|" "$paste" > "$dir/api-paste.ini"
    sed -i "s|^auth_mode = .*|auth_mode = keystone\npaste_config = $dir/api-paste.ini|" "$dir/gnocchi.conf"
    # Tokens are not cached, so that a revoked token is refused at once.
    cat >> "$dir/gnocchi.conf" <<CONF
[keystone_authtoken]
auth_type = password
auth_url = $4/v3
www_authenticate_uri = $4/v3
username = admin
password = sesame
project_name = admin
user_domain_name = Default
project_domain_name = Default
interface = public
token_cache_time = -1
CONF
    api
    ;;
start)
    mkdir -p "$dir"/{pg,data}; chmod 755 "$dir"
    [ "$(id -u)" != 0 ] || chown postgres "$dir/pg"
    # The socket is in the data directory; clients use only TCP on loopback.
    pg_port=$((port < 55000 ? port + 10000 : port - 10000))
    as_postgres "$pg/initdb" -D "$dir/pg" -A trust -U gnocchi --no-sync -E UTF8 --locale=C > "$dir/initdb.log" 2>&1
    as_postgres "$pg/pg_ctl" -D "$dir/pg" -w -l "$dir/pg/server.log" start -o "-p $pg_port -k $dir/pg \
        -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off -c synchronous_commit=off" > /dev/null
    dsn=postgresql://gnocchi@127.0.0.1:$pg_port/gnocchi
    psql -qX "${dsn%/*}/postgres" -c 'create database gnocchi'
    echo "$dsn" > "$dir/dsn"
    cat > "$dir/gnocchi.conf" <<CONF
[DEFAULT]
parallel_operations = 2
coordination_url = file://$dir/coordination
[api]
auth_mode = basic
max_limit = $page
[indexer]
url = ${dsn/postgresql:/postgresql+psycopg2:}
[storage]
driver = file
file_basepath = $dir/data
[metricd]
workers = 1
metric_processing_delay = 1
metric_reporting_delay = -1
CONF
    "$venv/bin/gnocchi-upgrade" --config-file "$dir/gnocchi.conf" > "$dir/upgrade.log" 2>&1
    api
    background metricd "$venv/bin/gnocchi-metricd" --config-file "$dir/gnocchi.conf"
    ;;
esac
