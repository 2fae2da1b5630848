SELECT c.name, t.total
FROM customers c
LEFT JOIN totals t ON t.customer_id = c.id
ORDER BY c.name
