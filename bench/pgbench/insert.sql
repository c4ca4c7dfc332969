INSERT INTO bench.docs (doc) VALUES (:doc);
