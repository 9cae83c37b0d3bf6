SELECT * EXCLUDE (key, headers, value), DATE '{{ ds }}' AS load_date FROM topic('raw.events')
