"""An emulation of the Kubernetes API server: one process, in memory, without any controller.

It speaks the real server's protocol over TLS on loopback, so that the `kubernetes` client, kubectl
and the sandbox's own controllers cannot tell it from the real one as far as the contract tests
reach. What it does not know it refuses.

Layers, each importing only those above it:

    schemas, errors, schema                        facts and values
    kinds, selectors, store                        what is served, what is stored
    quantities, decoding, protobuf, structural     reading what clients send
    defaults, validation*, strategy, admission     what an object must look like
    patches, fieldsets, apply                      how an object changes
    options, verbs, deletion, listing, watch       what a request does
    identity, rbac, subresources, pod_logs         who may ask, and for which parts
    discovery, openapi, cells, tables              how the server describes itself
    request, answers, documents, server            HTTP
    bootstrap, pki, __main__                       the process

The schemas are generated from upstream's own documents (see `schemas.generate`). The tests in
tests/sandbox/test_apiserver_*.py pass on kube-apiserver 1.36 as well.
"""
