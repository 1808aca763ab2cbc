"""What an operator sees of MLflow: panels, alerts and workbook from one table."""
