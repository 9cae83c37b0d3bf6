-- Producers send at least once: of several records of an order the first counts.
SELECT order_id, customer_id, region, amount, created_at, date_trunc('hour', created_at) AS hour
FROM bronze.orders
WHERE amount > 0
QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY partition, "offset") = 1
