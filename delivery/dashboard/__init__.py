"""The local stack's metrics as charts: what the workbook shows of a stack on Azure, of processes here."""
