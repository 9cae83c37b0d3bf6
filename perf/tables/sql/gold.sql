SELECT hour, region, count(*) AS orders, sum(amount) AS revenue, count(DISTINCT customer_id) AS customers
FROM bench.silver
GROUP BY hour, region
