-- rated_cost_is_invoiced_once: what was rated for those who are invoiced stands on lines, to the last of eighteen places.
--
-- reads   rated_usage, active_series, invoice_line
WITH rated AS (
  SELECT active_series.project_id, SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM rated_usage
  JOIN active_series ON active_series.series_id = rated_usage.series_id
  WHERE active_series.status = 'invoiced'
  GROUP BY active_series.project_id
),
invoiced AS (
  SELECT project_id, SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM invoice_line
  GROUP BY project_id
)
SELECT COALESCE(rated.project_id, invoiced.project_id) AS project_id, rated.contracted_cost AS rated_cost, invoiced.contracted_cost AS invoiced_cost
FROM rated
FULL JOIN invoiced ON invoiced.project_id = rated.project_id
WHERE COALESCE(rated.contracted_cost, CAST(0 AS DECIMAL(60,18))) <> COALESCE(invoiced.contracted_cost, CAST(0 AS DECIMAL(60,18)))
ORDER BY project_id
