"""A MessagePack-RPC client that knows nothing of intentd: the one of pynvim (Debian: python3-pynvim). Talks to the port
given, and prints a line of JSON for each answer."""
import json
import sys

from pynvim.msgpack_rpc import tcp_session

session = tcp_session("127.0.0.1", int(sys.argv[1]))
session.error_wrapper = lambda error: RuntimeError(json.dumps(error))


def show(method, *params):
    try:
        print(json.dumps({"method": method, "result": session.request(method, *params)}))
    except RuntimeError as error:
        print(json.dumps({"method": method, "error": json.loads(str(error))}))


event = {"type": "track", "event": "Pricing Viewed", "userId": "stock", "messageId": "m1", "channel": "web"}
show("server.ping")
show("event.ingest", event)
show("event.ingest", event)
show("event.batch", [event, {"type": "track"}])
show("lead.get", "stock")
show("no.such.method")
show("decision.subscribe", {"lead": session.request("lead.get", "stock")["lead"]["lead"]})
show("event.ingest", dict(event, messageId="m2"))
print(json.dumps({"notification": session.next_message()}))
