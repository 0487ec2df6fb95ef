// Command xds configures Envoys with Istio's own translation of the objects in an API server.
//
// It assembles Istio's packages as its discovery server does, without what needs a cluster around
// it: certificates, injection, leader election. Two things differ, so that all of it can run as
// local processes: endpoints in 10.0.0.0/8 are served at the same host bits of 127.0.0.0/8, ports
// below 1024 that much higher, and listeners on all addresses listen on loopback.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"istio.io/istio/pkg/log"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the API server and how to log in")
	address := flag.String("listen", "127.0.0.1:0", "where Envoy fetches its configuration (plain gRPC)")
	webhook := flag.String("webhook", "", "where the API server asks whether an object is valid (TLS); empty: nowhere")
	certificate := flag.String("certificate", "", "of the webhook, a PEM file")
	key := flag.String("key", "", "of the certificate, a PEM file")
	ready := flag.String("address-file", "", "is written with the address once the server is in step")
	flag.Parse()
	validation := func(failed chan<- error) error {
		if *webhook == "" {
			return nil
		}
		return serveValidation(*webhook, *certificate, *key, failed)
	}
	if err := run(*kubeconfig, *address, *ready, validation); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, address, ready string, validation func(chan<- error) error) error {
	options := log.DefaultOptions()
	options.SetDefaultOutputLevel(log.OverrideScopeName, log.WarnLevel)
	if err := log.Configure(options); err != nil {
		return err
	}
	failed := make(chan error, 2)
	if err := validation(failed); err != nil { // first: objects come as soon as there is an API server
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	discovery, err := assemble(kubeconfig, stop)
	if err != nil {
		return err
	}
	if err := discovery.start(stop); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	discovery.xds.Register(server)
	go func() { failed <- server.Serve(listener) }()
	if ready != "" {
		if err := publish(ready, listener.Addr().String()); err != nil {
			return err
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-failed:
		return err
	case <-signals:
		server.Stop()
		return nil
	}
}

func publish(path, address string) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(address+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
