//! The page's home: the page implements `JsStore` with IndexedDB (records) and OPFS (blobs); this is the bridge.
//!
//! It knows nothing of databases: every call is one awaited method of a JavaScript object. Invariant: a blob that
//! comes back is checked against its hash here, whatever the page's code did.

use super::{Store, StoreError, StoreResult, Table, Write, checked, sha256_hex, smaller};
use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// What the page provides. Values are `Uint8Array`s; a record that is not there is `undefined` or `null`.
    #[derive(Debug, Clone)]
    pub type JsStore;

    /// `get(table, key): Promise<Uint8Array | undefined>`.
    #[wasm_bindgen(method, catch)]
    async fn get(this: &JsStore, table: &str, key: &str) -> Result<JsValue, JsValue>;

    /// `list(table): Promise<[string, Uint8Array][]>`, sorted by key.
    #[wasm_bindgen(method, catch)]
    async fn list(this: &JsStore, table: &str) -> Result<JsValue, JsValue>;

    /// `apply(writes: [table, key, Uint8Array | null][]): Promise<void>`, in one transaction.
    #[wasm_bindgen(method, catch)]
    async fn apply(this: &JsStore, writes: Array) -> Result<JsValue, JsValue>;

    /// `putBlob(hash, bytes): Promise<void>`, durable when it resolves.
    #[wasm_bindgen(method, catch, js_name = putBlob)]
    async fn put_blob(this: &JsStore, hash: &str, bytes: Uint8Array) -> Result<JsValue, JsValue>;

    /// `getBlob(hash): Promise<Uint8Array | undefined>`.
    #[wasm_bindgen(method, catch, js_name = getBlob)]
    async fn get_blob(this: &JsStore, hash: &str) -> Result<JsValue, JsValue>;

    /// `deleteBlob(hash): Promise<void>`.
    #[wasm_bindgen(method, catch, js_name = deleteBlob)]
    async fn delete_blob(this: &JsStore, hash: &str) -> Result<JsValue, JsValue>;

    /// `listBlobs(): Promise<string[]>`.
    #[wasm_bindgen(method, catch, js_name = listBlobs)]
    async fn list_blobs(this: &JsStore) -> Result<JsValue, JsValue>;
}

/// The page's store.
#[derive(Debug, Clone)]
pub struct WebStore(JsStore);

impl WebStore {
    /// A store over the page's object.
    pub fn new(host: JsStore) -> Self {
        Self(host)
    }
}

#[async_trait::async_trait(?Send)]
impl Store for WebStore {
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>> {
        Ok(bytes(self.0.get(table.name(), key).await.map_err(host)?))
    }

    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let rows = Array::from(&self.0.list(table.name()).await.map_err(host)?);
        let mut records: Vec<(String, Vec<u8>)> = rows
            .iter()
            .map(|row| {
                let row = Array::from(&row);
                (text(&row.get(0)), bytes(row.get(1)).unwrap_or_default())
            })
            .collect();
        // IndexedDB orders strings by UTF-16 units; the contract here is bytewise.
        records.sort();
        Ok(records)
    }

    async fn apply(&self, writes: &[Write]) -> StoreResult<()> {
        let rows = Array::new();
        for Write { table, key, value } in writes {
            let value = value.as_ref().map_or(JsValue::NULL, |v| Uint8Array::from(&v[..]).into());
            rows.push(&Array::of3(&table.name().into(), &key.as_str().into(), &value));
        }
        self.0.apply(rows).await.map(drop).map_err(host)
    }

    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String> {
        let hash = sha256_hex(bytes);
        self.0.put_blob(&hash, Uint8Array::from(bytes)).await.map_err(host)?;
        Ok(hash)
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        let blob = bytes(self.0.get_blob(hash).await.map_err(host)?);
        blob.map(|bytes| checked(hash, bytes)).transpose()
    }

    async fn compress_blob(&self, hash: &str) -> StoreResult<()> {
        let kept = bytes(self.0.get_blob(hash).await.map_err(host)?);
        match kept.and_then(|kept| smaller(hash, &kept)) {
            Some(small) => {
                let small = Uint8Array::from(&small[..]);
                self.0.put_blob(hash, small).await.map(drop).map_err(host)
            }
            None => Ok(()),
        }
    }

    async fn delete_blob(&self, hash: &str) -> StoreResult<()> {
        self.0.delete_blob(hash).await.map(drop).map_err(host)
    }

    async fn list_blobs(&self) -> StoreResult<Vec<String>> {
        let names = Array::from(&self.0.list_blobs().await.map_err(host)?);
        let mut names: Vec<String> = names.iter().map(|name| text(&name)).collect();
        names.sort();
        Ok(names)
    }
}

fn bytes(value: JsValue) -> Option<Vec<u8>> {
    if value.is_undefined() || value.is_null() {
        return None;
    }
    Some(Uint8Array::new(&value).to_vec())
}

fn text(value: &JsValue) -> String {
    value.dyn_ref::<JsString>().map(String::from).unwrap_or_default()
}

fn host(error: JsValue) -> StoreError {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    StoreError::Host(message.unwrap_or_else(|| format!("{error:?}")))
}
