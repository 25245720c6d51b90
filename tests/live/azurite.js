// azurite.js PORT CONTAINER: makes a container in an Azurite on loopback, with a request signed by the key of every
// Azurite. Exits with 0 if the container exists.
const [port, container] = process.argv.slice(2);
const crypto = require('crypto');
const http = require('http');

const account = 'devstoreaccount1';
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2023-11-03' };
const named = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('');
const signed = `PUT${'\n'.repeat(12)}${named}/${account}/${account}/${container}\nrestype:container`;
const signature = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(signed, 'utf8').digest('base64');
headers.Authorization = `SharedKey ${account}:${signature}`;
headers['Content-Length'] = 0;
const path = `/${account}/${container}?restype=container`;
const request = http.request({ host: '127.0.0.1', port, method: 'PUT', path, headers }, (answer) => {
  answer.resume();
  process.exitCode = [201, 409].includes(answer.statusCode) ? 0 : 1;
});
request.on('error', () => { process.exitCode = 1; });
request.end();
