#!/usr/bin/env python3
"""Sends events to intentd over MessagePack-RPC and prints the decisions.

    python3 send.py [HOST:PORT] < events.jsonl

Each line of standard input is one event. Requests are pipelined, answers carry their request's id. An event with a messageId may be
sent again: it counts once."""
import json
import socket
import sys

try:
    import msgpack
except ImportError:
    sys.exit("send.py needs msgpack: apt-get install python3-msgpack, and run it with /usr/bin/python3")

REQUEST, RESPONSE, IN_FLIGHT = 0, 1, 256


def answers(sock):
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
    while data := sock.recv(65536):
        unpacker.feed(data)
        for message in unpacker:
            if message[0] == RESPONSE:
                yield message[1:]
    sys.exit("the daemon closed the connection")


def show(line, error, decision):
    if error:
        print(f"line {line}: refused ({error['code']}): {error['detail']}", file=sys.stderr)
    else:
        points = decision["scores"]["combined"] / 1000  # scores are thousandths of a point
        print(f"line {line}: {points:.1f} points, stage {decision['stage']}, action {decision['action']}")
    return bool(error)


def main():
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7411").rpartition(":")
    try:
        sock = socket.create_connection((host, int(port)))
    except (OSError, ValueError) as why:
        sys.exit(f"no daemon at {host}:{port}: {why}")
    waiting, refused, incoming = 0, 0, answers(sock)
    for line, text in enumerate(sys.stdin, 1):
        try:
            event = json.loads(text)
        except ValueError as why:
            sys.exit(f"line {line}: {why}")
        sock.sendall(msgpack.packb([REQUEST, line, "event.ingest", [event]]))
        waiting += 1
        if waiting == IN_FLIGHT:  # leave room for the answers, or both sides would wait
            refused, waiting = refused + show(*next(incoming)), waiting - 1
    for _ in range(waiting):
        refused += show(*next(incoming))
    sys.exit(1 if refused else 0)

main()
