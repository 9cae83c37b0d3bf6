-- Revenue by hour and region.
SELECT hour, region, count(*) AS orders, sum(amount)::decimal(18,2) AS revenue, count(DISTINCT customer_id) AS customers
FROM silver.orders
GROUP BY hour, region
