-- Each route: traffic, length, delay on arrival.
SELECT origin, dest, any_value(dest_name) AS dest_name, count(*) AS flights,
    min(distance) AS distance, round(avg(air_time), 3) AS mean_air_time, round(avg(arr_delay), 3) AS mean_delay
FROM silver.flights
GROUP BY origin, dest
