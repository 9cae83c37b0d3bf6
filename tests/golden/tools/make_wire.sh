#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetch Apache Kafka's classes with Maven, check our schema tables against them, and write
# tests/golden/wire/*.hex anew. By hand, after a change of the tables. Usage: make_wire.sh
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tools/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
	echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
	echo '<groupId>millrace</groupId><artifactId>golden</artifactId><version>1</version><dependencies>'
	for name in kafka-clients kafka-metadata kafka-group-coordinator; do
		echo "<dependency><groupId>org.apache.kafka</groupId><artifactId>$name</artifactId>"
		echo '<version>4.3.1</version></dependency>'
	done
	echo '</dependencies></project>'
} >"$work/pom.xml"
mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/libs"
python3 "$tools/check_schema.py" "$root" "$work/libs"
python3 -B "$tools/make_wire.py" "$root" "$work/libs"
du -cb "$root"/tests/golden/wire/*.hex | tail -1
