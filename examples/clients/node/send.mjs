// Sends events to intentd over its HTTP port, as Segment's libraries do, with nothing but Node (18 or later).
//
//   node send.mjs [http://HOST:PORT] < events.jsonl
//
// Each line of standard input is one event. INTENTD_WRITE_KEY names the source when the daemon wants a key. An event with a
// messageId may be sent again at will: it counts once, so a batch that got no answer is simply repeated.
import { createInterface } from "node:readline";

const url = process.argv[2] ?? "http://127.0.0.1:7412";
const [BATCH, TRIES] = [100, 5];
const key = process.env.INTENTD_WRITE_KEY;
const headers = { "content-type": "application/json" };
if (key) headers.authorization = "Basic " + Buffer.from(key + ":").toString("base64");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let [batch, sent, refused] = [[], 0, 0];

async function post(body) {
  for (let attempt = 1; ; attempt++) {
    const last = attempt === TRIES;
    try {
      const response = await fetch(url + "/v1/batch", { method: "POST", headers, body });
      if (last || (response.status !== 429 && response.status < 500)) return response;
      await sleep(1000 * Number(response.headers.get("retry-after") ?? attempt));
    } catch (error) {
      if (last) throw new Error(`no daemon at ${url}: ${error.cause?.message ?? error.message}`);
      await sleep(200 * attempt);
    }
  }
}

async function flush() {
  if (batch.length === 0) return;
  const response = await post(JSON.stringify({ batch: batch.map((entry) => entry.event) }));
  const answer = await response.json();
  if (!response.ok && !answer.refused) throw new Error(`refused (${response.status}): ${answer.detail}`);
  for (const { index, code, detail } of answer.refused ?? []) {
    console.error(`line ${batch[index].number}: refused (${code}): ${detail}`);
    refused++;
  }
  sent += batch.length;
  batch = [];
}

try {
  let number = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    number++;
    if (line.trim() === "") continue;
    batch.push({ number, event: JSON.parse(line) });
    if (batch.length === BATCH) await flush();
  }
  await flush();
  console.log(`${sent} events sent, ${refused} refused`);
  process.exitCode = refused ? 1 : 0;
} catch (error) {
  console.error(`send.mjs: ${error.message}`);
  process.exitCode = 1;
}
