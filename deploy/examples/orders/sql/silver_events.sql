SELECT event_id, customer_id, kind, "at"
FROM bronze.events
WHERE kind IN ('view', 'cart', 'buy')
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY partition, "offset") = 1
