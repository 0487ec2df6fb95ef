package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/webhooks/validation/server"
)

const readHeaderTimeout = 10 * time.Second

// serveValidation answers, over TLS, whether Istio takes an object: what the API server asks it
// before it stores one.
func serveValidation(address, certificate, key string, failed chan<- error) error {
	mux := http.NewServeMux()
	options := server.Options{
		Schemas: collections.PilotGatewayAPI(), DomainSuffix: constants.DefaultClusterLocalDomain, Mux: mux,
	}
	if _, err := server.New(options); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: readHeaderTimeout, ErrorLog: log.New(os.Stderr, "webhook: ", 0),
	}
	go func() { failed <- web.ServeTLS(listener, certificate, key) }()
	return nil
}
