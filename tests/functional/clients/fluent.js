// Fluentd's Forward client for Node, as an application uses it: records that are acknowledged, in one of its modes.
//   node fluent.js PORT MODE COUNT [SHARED_KEY]    MODE: Message, Forward, PackedForward, CompressedPackedForward
// Prints {acknowledged: n, failed: [reason, …]}.
const { FluentClient } = require("@fluent-org/logger");

const [port, eventMode, count, sharedKey] = process.argv.slice(2);
const client = new FluentClient("Pricing Viewed", {
  socket: { host: "127.0.0.1", port: Number(port), timeout: 20000 },
  ack: { ackTimeout: 20000 },
  eventMode,
  security: sharedKey ? { clientHostname: "application", sharedKey } : undefined,
});

const outcome = { acknowledged: 0, failed: [] };
// At the end, whatever that is: a client that is turned away leaves node with nothing to wait for.
process.on("exit", () => require("fs").writeSync(1, JSON.stringify(outcome)));

async function main() {
  await client.connect();
  const calls = [];
  for (let i = 0; i < Number(count); i++) {
    calls.push(client.emit({ userId: `fluent-${i % 3}`, channel: "web", properties: { number: i } }));
  }
  for (const call of await Promise.allSettled(calls)) {
    if (call.status === "fulfilled") outcome.acknowledged++;
    else outcome.failed.push(String(call.reason));
  }
  await client.shutdown();
}

main().catch((error) => outcome.failed.push(String(error)));
