#!/usr/bin/env python3
"""Creates the users of Gnocchi in a new Keystone: keystone-users.py URL (standard library).

The user `conto`, password `open: sesame`, is administrator of the project `service`, and has an application credential
in it. The script prints the id and the secret of the credential, each on a line."""
import json, sys, urllib.request

URL = sys.argv[1]


def call(method, path, body=None, token=None):
    headers = {'Content-Type': 'application/json', **({'X-Auth-Token': token} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method)) as answer:
        text = answer.read()
        return answer.headers.get('X-Subject-Token'), json.loads(text) if text else None


def token(user, password, project):
    domain = {'name': 'Default'}
    identity = {'methods': ['password'],
                'password': {'user': {'name': user, 'domain': domain, 'password': password}}}
    scope = {'project': {'name': project, 'domain': domain}}
    return call('POST', '/v3/auth/tokens', {'auth': {'identity': identity, 'scope': scope}})[0]


admin = token('admin', 'sesame', 'admin')
project = call('POST', '/v3/projects', {'project': {'name': 'service', 'domain_id': 'default'}}, admin)[1]['project']
user = call('POST', '/v3/users', {'user': {'name': 'conto', 'domain_id': 'default', 'password': 'open: sesame'}},
            admin)[1]['user']
role = call('GET', '/v3/roles?name=admin', token=admin)[1]['roles'][0]
call('PUT', f'/v3/projects/{project["id"]}/users/{user["id"]}/roles/{role["id"]}', token=admin)
credential = call('POST', f'/v3/users/{user["id"]}/application_credentials',
                  {'application_credential': {'name': 'billing'}}, token('conto', 'open: sesame', 'service'))[1]
print(credential['application_credential']['id'])
print(credential['application_credential']['secret'])
