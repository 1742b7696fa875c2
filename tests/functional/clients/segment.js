// Segment's library for Node, as an application uses it: a call of each kind, then what the library says became of them.
//   node segment.js HOST WRITE_KEY [COUNT]
// Prints {calls: {messageId: {type, delivered, reason}}, errors: [...]}.
const { Analytics } = require("@segment/analytics-node");

const [host, writeKey, count] = process.argv.slice(2);
const analytics = new Analytics({ writeKey, host, flushAt: 5, flushInterval: 50, maxRetries: 2 });
const calls = {};
const errors = [];
analytics.on("error", (error) => errors.push(String(error.code)));

function kept(error, ctx) {
  const { messageId, type } = ctx.event;
  calls[messageId] = { type, delivered: !error && !ctx.failedDelivery(), reason: error ? String(error) : null };
}

async function main() {
  analytics.track({ anonymousId: "visitor-1", event: "Pricing Viewed", properties: { plan: "pro", seats: 12 } }, kept);
  const traits = { email: "ada@example.com", createdAt: new Date(0) };
  analytics.identify({ userId: "ada", anonymousId: "visitor-1", traits }, kept);
  analytics.page({ userId: "ada", name: "Pricing", properties: { url: "https://example.com/pricing" } }, kept);
  analytics.screen({ userId: "ada", name: "Home" }, kept);
  analytics.group({ userId: "ada", groupId: "acme", traits: { employees: 120 } }, kept);
  analytics.alias({ userId: "ada", previousId: "old-ada" }, kept);
  const context = { ip: "203.0.113.7" };
  analytics.track({ userId: "ada", event: "Demo Requested", timestamp: new Date(), context }, kept);
  for (let i = 0; i < Number(count || 0); i++) {
    analytics.track({ userId: `many-${i}`, event: "Pricing Viewed" }, kept);
  }
  await analytics.closeAndFlush({ timeout: 20000 });
  process.stdout.write(JSON.stringify({ calls, errors }));
}

main();
