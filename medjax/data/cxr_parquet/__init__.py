"""Films and reports in Parquet files as the Hugging Face hub keeps them, without patients."""
