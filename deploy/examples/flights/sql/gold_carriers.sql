-- How late each carrier leaves.
SELECT carrier, carrier_name, count(*) AS flights, count(*) FILTER (is_cancelled) AS cancelled,
    round(avg(dep_delay), 3) AS mean_delay, round(avg((dep_delay > 15)::int), 5) AS late_share
FROM silver.flights
GROUP BY carrier, carrier_name
