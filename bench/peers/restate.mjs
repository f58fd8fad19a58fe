// node restate.mjs W1|W2|W3|W4|W5 --folder F [--partitions N] [--at-once N] [--seconds N] [--runs N] [--bench PROGRAM]
//
// One workload of docs/performance.md on a single Restate server with its log on the local disk, everything else as it
// comes. Prints lines of the form that pawl_bench prints. Restate's own default is 24 partitions.
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import * as lib from './lib.mjs';
import { mark, now, pool, quantile, request, sleep, start, stop, until } from './lib.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string' }, // for the server's data and the logs; emptied first
    partitions: { type: 'string', default: '24' },
    'at-once': { type: 'string', default: '128' },
    seconds: { type: 'string', default: '12' },
    runs: { type: 'string' },
    bench: { type: 'string' }, // pawl_bench, for its echo server (W5)
  },
});
const workload = positionals[0];
const folder = options.folder;
const data = `${folder}/data`;
const trace = `${folder}/trace`;
const atOnce = +options['at-once'];
const STEPS = 10;
const platform = `${process.platform}-${process.arch}`;
const program = `${import.meta.dirname}/node_modules/@restatedev/restate-server-${platform}/bin/restate-server`;

const ingressPort = await lib.freePort();
const adminPort = await lib.freePort();
const nodePort = await lib.freePort();
const workerPort = await lib.freePort();
const ingress = `http://127.0.0.1:${ingressPort}`;
const admin = `http://127.0.0.1:${adminPort}`;
const run = `${ingress}/bench/run`;

let server, worker;
const usedCpu = () => lib.cpu(server.pid) + lib.cpu(worker.pid);

function startServer() {
  const args = ['--no-logo', '--node-name', 'bench', '--base-dir', data, '--listen-mode', 'tcp',
    '--bind-ip', '127.0.0.1', '--bind-port', String(nodePort)];
  server = start(program, args, `${folder}/server.log`, {
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingressPort}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${adminPort}`,
    RESTATE_DEFAULT_NUM_PARTITIONS: options.partitions,
    RESTATE_DISABLE_TELEMETRY: 'true',
    RESTATE_LOG_FILTER: 'warn',
  });
}
function startWorker(env) {
  worker = start(process.execPath, [`${import.meta.dirname}/restate-worker.mjs`], `${folder}/worker.log`,
    { NODE_ENV: 'production', RESTATE_LOGGING: 'WARN', PORT: String(workerPort), ...env });
}
const health = async () => (await request('GET', `${ingress}/restate/health`)) === 200;
const ready = () => until('the server', health, 60_000, 5);

// Server and worker on an empty folder, known to each other. Milliseconds until the server was ready.
async function fresh(env = {}) {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const begin = now();
  startServer();
  await ready();
  const milliseconds = now() - begin;
  startWorker(env);
  await until('registration', async () =>
    (await request('POST', `${admin}/deployments`, { uri: `http://127.0.0.1:${workerPort}`, force: true })) < 300);
  await until('the first call', async () => (await request('POST', run, { steps: 1 })) === 200);
  return milliseconds;
}

function print(value, unit, more = {}) {
  lib.print({ workload, engine: `restate-${options.partitions}`, store: 'restate', value, unit,
    cpu_us_per_step: null, limit: null, ratio: null, ...more });
}

// W1 and W5: so many runs at once, for some seconds.
async function throughput(web) {
  let echo = null, url = '';
  if (web) {
    const [child, line] = await lib.startAndRead(options.bench, ['echo', '0']);
    echo = child;
    url = `http://127.0.0.1:${line.split(' ')[1]}/step`;
  }
  await fresh({ ECHO: url });
  const load = (seconds) => lib.wrk(run, { id: 'x', steps: STEPS, web }, atOnce, seconds, `${folder}/load.lua`);
  await load(4);
  mark();
  const cpuBefore = usedCpu();
  const { perSecond, total } = await load(+options.seconds);
  print(perSecond * STEPS, 'steps/s', {
    cpu_us_per_step: ((usedCpu() - cpuBefore) * 1e6) / (total * STEPS), at_once: atOnce, runs: total,
    peak_mib: lib.peakResident(server.pid), worker_peak_mib: lib.peakResident(worker.pid),
    others_cores: lib.othersCores(),
  });
  await stop(echo);
}

// W2: one run at a time.
async function latency() {
  await fresh();
  const runs = +(options.runs ?? 400);
  for (let i = 0; i < 200; ++i) await request('POST', run, { steps: STEPS });
  mark();
  const cpuBefore = usedCpu();
  const milliseconds = [];
  for (let i = 0; i < runs; ++i) {
    const begin = now();
    await request('POST', run, { steps: STEPS });
    milliseconds.push(now() - begin);
  }
  print(quantile(milliseconds, 0.5), 'ms', {
    what: 'p50', p99_ms: quantile(milliseconds, 0.99), runs,
    cpu_us_per_step: ((usedCpu() - cpuBefore) * 1e6) / (runs * STEPS), others_cores: lib.othersCores(),
  });
}

// What the worker has written down, [run, step or "end", time]; each call reads only what has come since the last one.
class Trace {
  rows = [];
  ended = new Set();
  #file = fs.openSync(trace, 'a+');
  #offset = 0;
  #rest = '';
  read() {
    const buffer = Buffer.alloc(1 << 20);
    for (let size; (size = fs.readSync(this.#file, buffer, 0, buffer.length, this.#offset)) > 0; this.#offset += size) {
      const lines = (this.#rest + buffer.latin1Slice(0, size)).split('\n');
      this.#rest = lines.pop();
      for (const row of lines.map((line) => line.split(' '))) {
        if (!row[0].startsWith('r')) continue; // the first call
        this.rows.push(row);
        if (row[1] === 'end') this.ended.add(row[0]);
      }
    }
    return this;
  }
}

// W3: server and worker are killed with all runs unfinished, and started again. `park`: all of them wait half-way in a
// sleep that is due when they start; else they are in the middle of their steps.
async function restart(park) {
  const runs = +(options.runs ?? 10_000);
  const gateMs = park ? 40_000 + runs * 4 : 0; // long enough to start them all
  await fresh({ TRACE: trace });
  const done = new Trace();
  const begin = now();
  const send = (i) => request('POST', `${run}/send`, { id: `r${i}`, steps: STEPS, gateMs });
  await pool(runs, 128, (i) => until('a start', async () => (await send(i)) < 300));
  await until('half of the steps', () => done.read().rows.length >= (runs * STEPS) / 2, 200_000, 50);
  const halfWay = now() - begin;
  server.kill('SIGKILL');
  worker.kill('SIGKILL');
  await Promise.all([server.ended, worker.ended]);
  if (park) await sleep(Math.max(0, begin + halfWay + gateMs - now()) + 1000);

  const before = done.read().rows.length;
  const open = runs - done.ended.size;
  mark();
  const started = Date.now();
  startServer();
  startWorker({ TRACE: trace });
  let others = 0;
  await until('the end of all runs', () => {
    others = lib.othersCores();
    return done.read().ended.size >= runs;
  }, 240_000, 200);
  const rows = done.rows;
  const times = rows.slice(before).map((row) => +row[2] - started);
  const more = {
    state: park ? 'parked' : 'stepping', open_runs: open, lost: runs - done.ended.size,
    run_twice: rows.length - new Set(rows.map((row) => `${row[0]} ${row[1]}`)).size,
    cpu_us_per_step: (usedCpu() * 1e6) / rows.slice(before).filter((row) => row[1] !== 'end').length,
    others_cores: others,
  };
  print(times.reduce((a, b) => Math.min(a, b)) / 1e3, 's', { what: 'first', ...more });
  print(times.reduce((a, b) => Math.max(a, b)) / 1e3, 's', { what: 'all', ...more });
}

// W4: start, and nothing to do. Server alone; the worker is not counted.
async function idle() {
  const milliseconds = await fresh();
  await sleep(3000);
  mark();
  const seconds = 10;
  const before = lib.cpu(server.pid);
  await sleep(seconds * 1000);
  const percent = ((lib.cpu(server.pid) - before) / seconds) * 100;
  const others = lib.othersCores();
  const mebibytes = lib.resident(server.pid);
  await stop(server, 'SIGTERM');
  const begin = now();
  startServer();
  await ready();
  print(milliseconds, 'ms', { what: 'ready', others_cores: others });
  print(now() - begin, 'ms', { what: 'ready_again', others_cores: others });
  print(mebibytes, 'MiB', { what: 'rss', others_cores: others });
  print(percent, '%', { what: 'idle_cpu', others_cores: others });
}

const workloads = {
  W1: () => throughput(false),
  W2: latency,
  W3: async () => {
    await restart(true);
    await stop(worker);
    await stop(server);
    await restart(false);
  },
  W4: idle,
  W5: () => throughput(true),
};
if (!workloads[workload] || !folder) {
  process.stderr.write('usage: node restate.mjs W1|W2|W3|W4|W5 --folder F [--partitions N] [--at-once N]\n'
    + '                        [--seconds N] [--runs N] [--bench PROGRAM]\n');
  process.exit(2);
}
await workloads[workload]();
await stop(worker);
await stop(server);
process.exit(0);
