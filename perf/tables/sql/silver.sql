SELECT *, date_trunc('hour', created_at) AS hour
FROM bench.bronze
WHERE amount > 0
QUALIFY row_number() OVER (PARTITION BY order_id) = 1
