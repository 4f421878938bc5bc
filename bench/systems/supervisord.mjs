// supervisord by XML-RPC over its unix socket. Programs are added one by one, as configuration files that it reads again.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { end_leftovers } from "../lib/proc.mjs";
import { in_time, on_clean_up, temporary_directory } from "../lib/undo.mjs";
import { next_file } from "../lib/watch.mjs";
import { with_kill } from "./own-files.mjs";
import { program } from "./skipped.mjs";

export async function start_supervisord() {
  const supervisord = program("supervisord");
  const root = temporary_directory("sv-svd-");
  const socket = join(root, "s.sock");
  const [logs, programs] = [join(root, "logs"), join(root, "programs")];
  await Promise.all([logs, programs].map((path) => mkdir(path)));
  const config = join(root, "supervisord.conf");
  await writeFile(
    config,
    `[supervisord]
logfile=${root}/supervisord.log
pidfile=${root}/supervisord.pid
childlogdir=${logs}
nodaemon=true
[unix_http_server]
file=${socket}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files=${programs}/*.conf
`,
  );
  const listening = next_file(root, (name) => name === "s.sock", 0);
  // Detached: Ctrl-C must reach the benchmark alone.
  const child = spawn(supervisord, ["-c", config, "-n", "-s"], {
    env: { ...process.env, SV_BENCH_ROOT: root },
    detached: true,
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    child.kill("SIGTERM");
    await in_time(ended, () => "supervisord to end");
    await end_leftovers(root);
  };
  on_clean_up(stop);
  await listening.found;
  await in_time(answering(socket), () => "supervisord to answer");
  return with_kill({
    name: "supervisord (XML-RPC)",
    root,
    logs,
    log_suffix: "_log",
    pid: () => child.pid,
    async deploy(id, script) {
      const log = join(logs, `${id}_log`);
      const agent = join(programs, `${id}.sh`);
      const conf = join(programs, `${id}.conf`);
      await writeFile(agent, `${script}\n`);
      await writeFile(
        conf,
        `[program:${id}]
command=/bin/sh ${agent}
autostart=false
autorestart=false
startsecs=0
stdout_logfile=${log}
stdout_logfile_maxbytes=0
stderr_logfile=${log}.err
stopasgroup=true
killasgroup=true
`,
      );
      await call(socket, "supervisor.reloadConfig");
      await call(socket, "supervisor.addProcessGroup", id);
      await call(socket, "supervisor.startProcess", id, false);
      return { id, log, files: [log, `${log}.err`, agent, conf] };
    },
    async end({ id }) {
      // NOT_RUNNING: it ended by itself. BAD_NAME: it was ended and forgotten before.
      await call(socket, "supervisor.stopProcess", id, true).catch((error) => {
        if (!/NOT_RUNNING|BAD_NAME/.test(error.message)) throw error;
      });
      await call(socket, "supervisor.removeProcessGroup", id).catch((error) => {
        if (!error.message.includes("BAD_NAME")) throw error;
      });
    },
    stop,
  });
}

/** Its socket has a name before it listens. */
async function answering(socket) {
  for (;;) {
    try {
      return await call(socket, "supervisor.getState");
    } catch (error) {
      if (error.code !== "ECONNREFUSED") throw error;
      await delay(5);
    }
  }
}

function call(socketPath, method, ...params) {
  const value = (param) =>
    typeof param === "boolean" ? `<boolean>${Number(param)}</boolean>` : `<string>${param}</string>`;
  const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${params.map((param) => `<param><value>${value(param)}</value></param>`).join("")}</params></methodCall>`;
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "text/xml", "content-length": Buffer.byteLength(body) };
    const outgoing = request({ socketPath, method: "POST", path: "/RPC2", headers }, async (answer) => {
      let text = "";
      for await (const chunk of answer) text += chunk;
      if (text.includes("<fault>")) reject(new Error(`${method}: ${/<string>(.*)<\/string>/.exec(text)?.[1]}`));
      else resolve(text);
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}
