#!/usr/bin/env python3
"""Fills a Gnocchi with the cloud of `gnocchi.rs`: gnocchi.py URL DSN (standard library and psql).

Resources, types and archive policies are those of Ceilometer. Revisions have the time of the server, and the API cannot
set this time. So the script changes it in the database."""
import base64, datetime, json, subprocess, sys, time, urllib.error, urllib.request

URL, DSN = sys.argv[1:]
START = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
POLLS = 576


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {'Authorization': 'Basic ' + base64.b64encode(b'admin:').decode(),
               'Content-Type': 'application/json', 'Accept': 'application/json'}
    for attempt in range(60):
        try:
            with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers, method=method)) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            # The status is not known until metricd has joined.
            if error.code < 500 or method != 'GET':
                sys.exit(f'{method} {path}: {error.code} {error.read().decode()}')
            time.sleep(0.5)


def at(poll):
    return (START + datetime.timedelta(seconds=300 * poll)).strftime('%Y-%m-%dT%H:%M:%S+00:00')


text = lambda required: {'type': 'string', 'min_length': 0, 'max_length': 255, 'required': required}
for name, attributes in {
    'instance': {'flavor_id': text(True), 'flavor_name': text(True), 'display_name': text(True), 'host': text(False),
                 'created_at': {'type': 'datetime', 'required': False}},
    'instance_network_interface': {'name': text(True)},
    'volume': {'display_name': text(False), 'volume_type': text(False)},
    'network': {},
}.items():
    call('POST', '/v1/resource_type', {'name': name, 'attributes': attributes})
both = [{'granularity': '5 minutes', 'timespan': '3000 days'}, {'granularity': '1 hour', 'timespan': '4000 days'}]
for name, methods in {'ceilometer-low': ['mean'], 'ceilometer-low-rate': ['mean', 'last', 'rate:mean']}.items():
    call('POST', '/v1/archive_policy',
         {'name': name, 'back_window': 0, 'aggregation_methods': methods, 'definition': both})

measures = {}


def resource(kind, id, project, born, metrics, ended=None, **attributes):
    body = {'id': id, 'project_id': project, 'started_at': at(born), **attributes}
    call('POST', f'/v1/resource/{kind}', body if ended is None else {**body, 'ended_at': at(ended)})
    measures[id] = {name: {'archive_policy_name': policy, 'unit': unit,
                           'measures': [{'timestamp': at(poll), 'value': value} for poll, value in points]}
                    for name, (unit, policy, points) in metrics.items()}


def instance(number):
    return f'00000000-0000-4000-8000-{number:012d}'


low, rate = 'ceilometer-low', 'ceilometer-low-rate'
every = range(POLLS)
vcpus = lambda polls, value=lambda poll: 1: {'vcpus': ('vcpu', low, [(poll, value(poll)) for poll in polls])}
resource('instance', instance(1), 'alpha', 0, vcpus(every, lambda poll: 1 if poll < 144 else 2),
         flavor_id='1', flavor_name='m1.small', display_name='web-1', host='a')
resource('instance', instance(2), 'beta', 0, vcpus([*range(120), *range(156, 288)]), ended=288,
         flavor_id='1', flavor_name='m1.small', display_name='web-2', host='a')
# The resource moves to another project, and to another host, which changes no price.
resource('instance', instance(3), 'alpha', 288, vcpus(range(288, POLLS)),
         flavor_id='2', flavor_name='m1.medium', display_name='db', host='a')
counter = lambda poll: 5_000_000 + poll * 1_000_000 if poll < 216 else (poll - 216) * 500_000
resource('instance_network_interface', f'instance-00000001-{instance(1)}-tap1', 'alpha', 0,
         {'network.outgoing.bytes': ('B', rate, [(poll, counter(poll)) for poll in every])}, name='tap1')
resource('volume', instance(11), 'alpha', 0, {'volume.size': ('GB', low, [(poll, 50) for poll in every])},
         display_name='data', volume_type='ssd')
resource('network', instance(12), 'beta', 0, {'ip.floating': ('ip', low, [(poll, 3) for poll in every])})
# Never billed: it has no measures after its first minute, and no end.
resource('instance', instance(4), 'beta', 0, {}, flavor_id='1', flavor_name='m1.small', display_name='gone', host='b')

# These have no measures; only their revisions contain their attributes.
resource('volume', instance(13), 'alpha', 24, {}, display_name='backup', volume_type='ssd')
resource('volume', instance(14), 'beta', 288, {}, display_name='forgotten', volume_type='ssd')
resource('volume', instance(15), 'alpha', -17_568, {}, ended=-12_000, display_name='august', volume_type='ssd')
resource('volume', instance(16), 'alpha', -3_000, {}, display_name='older', volume_type='hdd')
resource('volume', instance(17), 'alpha', -600, {}, display_name='september', volume_type='hdd')

for id, metrics in measures.items():
    if metrics:
        call('POST', '/v1/batch/resources/metrics/measures?create_metrics=true', {id: metrics})
call('PATCH', f'/v1/resource/instance/{instance(1)}', {'flavor_id': '2', 'flavor_name': 'm1.medium'})
call('PATCH', f'/v1/resource/instance/{instance(3)}', {'host': 'b'})
call('PATCH', f'/v1/resource/instance/{instance(3)}', {'project_id': 'beta'})
call('PATCH', f'/v1/resource/volume/{instance(13)}', {'volume_type': 'hdd'})
call('PATCH', f'/v1/resource/volume/{instance(13)}', {'ended_at': at(300)})
call('PATCH', f'/v1/resource/volume/{instance(16)}', {'ended_at': at(66)})
call('PATCH', f'/v1/resource/volume/{instance(17)}', {'ended_at': at(-4)})


def dated(id, cuts):
    """SQL that sets the starts of a resource's revisions to these polls; the first is the resource's start."""
    for number, poll in enumerate(cuts):
        end = at(cuts[number + 1]) if number + 1 < len(cuts) else None
        if end is None:
            yield f"update resource set revision_start = '{at(poll)}' where id = '{id}';"
        else:
            yield (f"update resource_history set revision_start = '{at(poll)}', revision_end = '{end}' where revision = "
                   f"(select revision from resource_history where id = '{id}' order by revision offset {number} limit 1);")


sql = ['begin; set time zone utc;', 'update resource set revision_start = started_at;',
       *dated(instance(1), [0, 144]), *dated(instance(3), [288, 300, 432]),
       *dated(instance(13), [24, 150, 303]), *dated(instance(16), [-3_000, 67]),
       *dated(instance(17), [-600, 4]),
       f"update resource set revision_start = ended_at where id = '{instance(15)}';", 'commit;']
subprocess.run(['psql', '-qX', '-v', 'ON_ERROR_STOP=1', DSN], input='\n'.join(sql), text=True, check=True)
while call('GET', '/v1/status?details=false')['storage']['summary']['measures']:
    time.sleep(0.3)
