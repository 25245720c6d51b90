//! Files that an older program wrote: a relation may have columns since that they do not have.

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;

use super::{DataFile, Error, Lake, parquet_file};

impl Lake {
    /// The rows of one data file as its relation has them today. Where a new column may be null, it is.
    pub async fn read_rows(&self, file: &DataFile, schema: &SchemaRef) -> Result<Vec<RecordBatch>, Error> {
        let batches = self.read_data(file).await?;
        batches.into_iter().map(|batch| completed(batch, schema, &file.path)).collect()
    }
}

fn completed(batch: RecordBatch, schema: &SchemaRef, path: &str) -> Result<RecordBatch, Error> {
    let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    refuse(schema, path, &names)?;
    if schema.fields().iter().all(|field| names.contains(&field.name().as_str())) {
        return Ok(batch);
    }
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    });
    RecordBatch::try_new(schema.clone(), columns.collect())
        .map_err(|source| Error::Parquet { path: path.to_owned(), source: source.into() })
}

/// Refuses a file that lacks a column which can never be null, before an engine reads it by itself.
pub(super) fn refuse_older(schema: &Schema, path: &str, bytes: &Bytes) -> Result<(), Error> {
    let names = parquet_file::column_names(bytes).map_err(|source| Error::Parquet { path: path.to_owned(), source })?;
    refuse(schema, path, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn refuse(schema: &Schema, path: &str, names: &[&str]) -> Result<(), Error> {
    let missing = schema.fields().iter().find(|field| !field.is_nullable() && !names.contains(&field.name().as_str()));
    match missing {
        Some(field) => Err(Error::Older { path: path.to_owned(), column: field.name().clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn a_column_that_is_new_is_null_where_it_may_be_and_named_where_it_may_not() {
        let written: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("old", written)]).unwrap();
        let schema = |is_nullable| {
            let new = Field::new("new", DataType::Utf8, is_nullable);
            Arc::new(Schema::new(vec![new, Field::new("old", DataType::Int64, false)]))
        };
        let read = completed(batch.clone(), &schema(true), "data/x").unwrap();
        assert_eq!((read.column(0).null_count(), read.column(1)), (2, batch.column(0)));
        let bytes = Bytes::from(parquet_file::encode(&batch.schema(), std::slice::from_ref(&batch)).unwrap());
        assert!(refuse_older(&schema(true), "data/x", &bytes).is_ok());
        for refused in
            [completed(batch, &schema(false), "data/x").err(), refuse_older(&schema(false), "data/x", &bytes).err()]
        {
            let told = refused.unwrap().to_string();
            assert_eq!(told, "`data/x` in the lake was written by an older program and has no column `new`");
        }
    }
}
