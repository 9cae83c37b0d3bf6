-- Delay by hour of the day and the weather of that hour at the airport.
SELECT f.hour,
    CASE WHEN w.time_hour IS NULL THEN 'unknown' WHEN w.precip > 0 THEN 'rain'
         WHEN w.visib < 3 THEN 'fog' WHEN w.wind_speed > 20 THEN 'wind' ELSE 'clear' END AS weather,
    count(*) AS flights, round(avg(f.dep_delay), 3) AS mean_delay
FROM silver.flights AS f
LEFT JOIN topic('ref.weather') AS w ON w.origin = f.origin AND w.time_hour = f.time_hour
GROUP BY ALL
