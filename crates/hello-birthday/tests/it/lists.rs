//! Lists that are longer than what is read at once.

use birthday::{Birthday, Name};
use serde_json::json;
use store::Change;

use crate::app::App;

#[tokio::test]
async fn a_large_list_comes_whole_and_in_order() {
    // More than two pages of those that are read at once, and one that ends exactly at a page.
    for count in [0, 1, 999, 1000, 1001, 2000, 2345] {
        let app = App::start().await;
        let savers: Vec<_> = (0..count)
            .map(|number| {
                let (store, name) = (app.store.clone(), Name::parse(&format!("u{number:05}")).unwrap());
                let birthday = Birthday::from_stored(1, 1, None).unwrap();
                tokio::spawn(async move { store.commit(Change::SaveBirthday { name, birthday }).await })
            })
            .collect();
        for saver in savers {
            saver.await.unwrap().unwrap();
        }
        let expected: Vec<_> =
            (0..count).map(|number| json!({ "username": format!("u{number:05}"), "email": null })).collect();
        assert_eq!(app.client.get("/user").await.json(), json!(expected), "{count}");
    }
}
