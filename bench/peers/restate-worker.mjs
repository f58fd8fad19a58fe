// The service that Restate calls: `run` takes so many durable steps one after the other. `gateMs` parks it half-way in
// a durable sleep, `web` makes each step a POST to $ECHO. With $TRACE every step is written down when it is done.
import * as restate from '@restatedev/restate-sdk';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';

const trace = process.env.TRACE ? fs.openSync(process.env.TRACE, 'a') : null;
const note = (id, what) => trace !== null && fs.writeSync(trace, `${id} ${what} ${Date.now()}\n`);

const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
function post(body) {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const call = http.request(process.env.ECHO, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data) => { text += data; }).on('end', () => resolve(text.length));
    });
    call.on('error', reject).end(body);
  });
}

const bench = restate.service({
  name: 'bench',
  handlers: {
    run: async (context, { id = '', steps = 10, gateMs = 0, web = false }) => {
      let sum = 0;
      for (let step = 0; step < steps; ++step) {
        if (gateMs && step === steps / 2) await context.sleep(gateMs);
        sum += await context.run(`step${step}`, () => {
          if (web) return post(`{"run":"${id}","step":${step}}`);
          note(id, step);
          return step;
        });
      }
      note(id, 'end');
      return sum;
    },
  },
});
http2.createServer(restate.createEndpointHandler({ services: [bench] })).listen(+process.env.PORT, '127.0.0.1');
