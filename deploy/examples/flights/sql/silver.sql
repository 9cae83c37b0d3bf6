-- One row for each flight (the first record wins), with carrier, airports and plane by name.
WITH flight AS (
    SELECT * FROM bronze.flights
    QUALIFY row_number() OVER (PARTITION BY time_hour, carrier, flight, origin ORDER BY partition, "offset") = 1
)
SELECT f.time_hour, make_date(f.year, f.month, f.day) AS day, f.hour, f.carrier, a.name AS carrier_name,
    f.flight, f.tailnum, p.manufacturer, p.model, p.seats,
    f.origin, f.dest, d.name AS dest_name, f.distance, f.air_time,
    f.dep_delay, f.arr_delay, f.dep_time IS NULL AS is_cancelled
FROM flight AS f
LEFT JOIN topic('ref.airlines') AS a ON a.carrier = f.carrier
LEFT JOIN topic('ref.airports') AS d ON d.faa = f.dest
LEFT JOIN topic('ref.planes') AS p ON p.tailnum = f.tailnum
