SELECT * EXCLUDE (key, headers, value) FROM topic('bench.orders')
