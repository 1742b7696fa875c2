#!/usr/bin/env python3
"""Writes zone_table.h from this machine's tzdata: python3 core/base/zone_table.py >core/base/zone_table.h

Each zone of /usr/share/zoneinfo ends with the POSIX TZ string of the rule that holds from now on. Only these are taken:
the engine counts all times by today's rule, the same on every machine, whatever its tzdata.
"""
import os
import sys

ROOT = "/usr/share/zoneinfo"
LEFT_OUT = ("posix", "right", "localtime", "posixrules", "Factory")  # the same again, with leap seconds, or no place


def rules():
    for folder, folders, files in os.walk(ROOT):
        if folder == ROOT:
            folders[:] = [f for f in folders if f not in LEFT_OUT]
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, ROOT)
            with open(path, "rb") as opened:
                data = opened.read()
            if name in LEFT_OUT or not data.startswith(b"TZif"):
                continue
            rule = data.rsplit(b"\n", 2)[1].decode("ascii")
            if not rule:
                sys.exit(f"{name} has no rule for the time to come")
            yield name, rule


def release():
    with open(os.path.join(ROOT, "tzdata.zi"), encoding="ascii") as opened:
        return opened.readline().split()[-1]


def main():
    zones = sorted(rules(), key=lambda zone: zone[0].encode())
    texts = sorted({rule for _, rule in zones})
    print(f"// Time zones of tzdata {release()}: written by zone_table.py, belongs to zone.c alone. Names in the order of")
    print("// their bytes; a rule is the POSIX TZ string that holds from that release on.")
    print("// clang-format off")
    print("#pragma once\n#include <stdint.h>\n")
    print(f'#define ZONE_TABLE_RELEASE "{release()}"\n')
    print("static const char *const zone_rules[] = {")
    for text in texts:
        print(f'    "{text}",')
    print("};\n\nstatic const struct {\n  const char *name;\n  uint8_t rule;\n} zone_names[] = {")
    for name, rule in zones:
        print(f'    {{"{name}", {texts.index(rule)}}},')
    print("};\n// clang-format on")


if __name__ == "__main__":
    main()
