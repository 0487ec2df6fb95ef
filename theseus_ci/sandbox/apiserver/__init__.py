"""An emulation of the Kubernetes API server: one process, in memory, without any controller.

It speaks the real server's protocol over TLS on loopback, so that the `kubernetes` client, kubectl
and the sandbox's own controllers cannot tell it from the real one as far as the contract tests
reach. What it does not know it refuses.

Layers, each importing only those above it:

    schemas, schema, errors, selectors           facts and values
    kinds, store                                 what is served, what is stored
    decoding, structural, defaults, validation   what an object must look like
    patches, fieldsets, apply                    how an object changes
    strategy, admission, registry, subresources  what a request does
    identity, rbac, discovery, openapi, tables   who may ask, and how answers look
    request, watch, server                       HTTP
"""
