#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Put the page into the program: `embed.py PAGE.html OUTPUT.c HEADER NAME PART...` writes NAME[] and NAME_size.

The style sheet and the scripts that the page names are put in at their place; each part must be named once."""

import os
import re
import sys


def assemble(page, parts):
    texts = {}
    for path in parts:
        with open(path, encoding="utf-8") as file:
            texts[os.path.basename(path)] = file.read()

    def take(name, kind):
        text = texts.pop(name)
        if f"</{kind}" in text:
            sys.exit(f"embed.py: {name} contains </{kind}")
        return f"<{kind}>\n{text}</{kind}>"
    page = re.sub(r'<link rel="stylesheet" href="([^"]+)">', lambda at: take(at[1], "style"), page)
    page = re.sub(r'<script src="([^"]+)"></script>', lambda at: take(at[1], "script"), page)
    if texts:
        sys.exit(f"embed.py: the page does not name {', '.join(texts)}")
    return page


def main():
    source, output, header, name = sys.argv[1:5]
    with open(source, encoding="utf-8") as file:
        data = assemble(file.read(), sys.argv[5:]).encode()
    lines = [",".join(str(byte) for byte in data[at:at + 24]) for at in range(0, len(data), 24)]
    with open(output, "w", encoding="ascii") as file:
        file.write(f'#include "{header}"\n\nconst uint8_t {name}[] = {{\n' + ",\n".join(lines) +
                   f"\n}};\nconst size_t {name}_size = sizeof({name});\n")


if __name__ == "__main__":
    main()
