"""theseus.yaml as typed values: `types` declares them, `load` reads them, `schema` exports them."""
