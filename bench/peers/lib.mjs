// What a driver of a peer needs: child processes, their CPU time and memory, HTTP, and the line that tells the result.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const now = () => Number(process.hrtime.bigint()) / 1e6; // ms
const TICKS = 100; // of /proc, a second

// ---- processes ------------------------------------------------------------------------------------------------------

function stat(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = (first) => (+fields[first] + +fields[first + 1]) / TICKS; // user and system
    return { parent: +fields[1], cpu: ticks(11), reaped: ticks(13) };
  } catch {
    return null; // it has ended
  }
}

// CPU seconds used so far by a process, its living descendants, and those whose end they have seen.
export function cpu(root) {
  const children = new Map();
  for (const name of fs.readdirSync('/proc')) {
    const found = /^\d+$/.test(name) && stat(name);
    if (found) children.set(found.parent, [...(children.get(found.parent) ?? []), +name]);
  }
  let seconds = 0;
  for (const todo = [root]; todo.length > 0; ) {
    const pid = todo.pop();
    const found = stat(pid);
    if (found) seconds += found.cpu + found.reaped;
    todo.push(...(children.get(pid) ?? []));
  }
  return seconds;
}

function memory(pid, field) {
  const text = fs.readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(text.match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))?.[1] ?? 0) / 1024; // MiB
}
export const resident = (pid) => memory(pid, 'VmRSS');
export const peakResident = (pid) => memory(pid, 'VmHWM');

const living = new Set();
process.on('exit', () => living.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

// Starts a program whose output goes to the file `log`. It dies with this process.
export function start(program, args, log, env = {}) {
  const file = fs.openSync(log, 'a');
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', file, file] });
  fs.closeSync(file);
  return watch(child);
}

// Starts a program and waits for its first line.
export async function startAndRead(program, args) {
  const child = watch(spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] }));
  const line = new Promise((resolve) => child.stdout.once('data', (data) => resolve(String(data).split('\n')[0])));
  return [child, await Promise.race([line, child.ended.then(() => { throw new Error(`${program} ended at once`); })])];
}

function watch(child) {
  child.ended = new Promise((resolve) => {
    child.on('exit', resolve);
    child.on('error', resolve);
  });
  living.add(child);
  child.ended.then(() => living.delete(child));
  return child;
}

export async function stop(child, signal = 'SIGKILL') {
  if (!child || !living.has(child)) return;
  child.kill(signal);
  const patience = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await child.ended;
  clearTimeout(patience);
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

const agent = new http.Agent({ keepAlive: true, maxSockets: 4096 });
export function request(method, url, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = text ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } : {};
    const call = http.request(url, { method, agent, headers, timeout: 120_000 }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode)).on('error', reject);
    });
    call.on('error', reject).on('timeout', () => call.destroy(new Error(`no answer from ${url}`)));
    call.end(text);
  });
}

// Keeps `connections` POSTs of `body` under way for so many seconds.
export function wrk(url, body, connections, seconds, script) {
  const lua = ['wrk.method="POST"', 'wrk.headers["Content-Type"]="application/json"',
    `wrk.body=[[${JSON.stringify(body)}]]`, ''];
  fs.writeFileSync(script, lua.join('\n'));
  return new Promise((resolve, reject) => {
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script, url];
    const child = watch(spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] }));
    let text = '';
    child.stdout.on('data', (data) => { text += data; });
    child.on('error', reject).on('close', () => {
      const errors = text.match(/(Non-2xx|Socket errors).*/g);
      if (errors) return reject(new Error(errors.join('; ')));
      resolve({ perSecond: +text.match(/Requests\/sec:\s+([\d.]+)/)[1], total: +text.match(/(\d+) requests in/)[1] });
    });
  });
}

// ---- waiting and telling --------------------------------------------------------------------------------------------

// Until `condition` holds; a child that ends meanwhile is an error.
export async function until(what, condition, patience = 60_000, every = 20) {
  const watched = [...living];
  for (const end = now() + patience; ; ) {
    try {
      if (await condition()) return;
    } catch {
      // not there yet
    }
    if (watched.some((child) => !living.has(child))) throw new Error(`a program ended while waiting for ${what}`);
    if (now() > end) throw new Error(`gave up waiting for ${what}`);
    await sleep(every);
  }
}

// work(0) … work(count - 1), `width` at a time.
export async function pool(count, width, work) {
  let next = 0;
  const one = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, one));
}

export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

// Cores that other processes took between mark() and print(): how far the figure can be trusted.
function busy() {
  const fields = fs.readFileSync('/proc/stat', 'latin1').split('\n')[0].split(/\s+/).slice(1).map(Number);
  return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TICKS; // user nice system irq softirq
}
let marked = { at: now(), busy: busy(), own: cpu(process.pid) };
export const mark = () => {
  marked = { at: now(), busy: busy(), own: cpu(process.pid) };
};
export function othersCores() {
  const others = busy() - marked.busy - (cpu(process.pid) - marked.own);
  return Math.max(0, Math.round((others / (now() - marked.at)) * 1e5) / 100);
}

const rounded = (value) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value);
export function print(line) {
  const values = Object.entries(line).map(([key, value]) => [key, rounded(value)]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(values))}\n`);
}
