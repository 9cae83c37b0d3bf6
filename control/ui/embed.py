#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Put a file into the program: `embed.py INPUT OUTPUT.c HEADER NAME` writes NAME[] and NAME_size."""

import sys


def main():
    source, output, header, name = sys.argv[1:5]
    with open(source, "rb") as file:
        data = file.read()
    lines = [",".join(str(byte) for byte in data[at:at + 24]) for at in range(0, len(data), 24)]
    with open(output, "w", encoding="ascii") as file:
        file.write(f'#include "{header}"\n\nconst uint8_t {name}[] = {{\n' + ",\n".join(lines) +
                   f"\n}};\nconst size_t {name}_size = sizeof({name});\n")


if __name__ == "__main__":
    main()
