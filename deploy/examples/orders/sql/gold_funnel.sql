-- From looking to buying, by day.
WITH clicks AS (
    SELECT "at"::date AS day, count(*) FILTER (kind = 'view') AS views, count(*) FILTER (kind = 'cart') AS carts
    FROM silver.events GROUP BY day
), sales AS (
    SELECT created_at::date AS day, count(*) AS orders, sum(amount)::decimal(18,2) AS revenue
    FROM silver.orders GROUP BY day
)
SELECT day, coalesce(views, 0) AS views, coalesce(carts, 0) AS carts, coalesce(orders, 0) AS orders,
    coalesce(revenue, 0)::decimal(18,2) AS revenue
FROM clicks FULL JOIN sales USING (day)
