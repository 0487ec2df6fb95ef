package main

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/util/protoconv"
	"istio.io/istio/pilot/pkg/xds"
)

const (
	privilegedPorts      = 1024
	privilegedPortOffset = 20000
	loopback             = "127.0.0.1"
)

var podNetwork = netip.MustParsePrefix("10.0.0.0/8")

// folding passes endpoints on as Envoy can reach them on this machine.
type folding struct {
	model.XDSUpdater
}

func (f folding) EDSUpdate(
	shard model.ShardKey, host string, namespace string, endpoints []*model.IstioEndpoint,
) {
	f.XDSUpdater.EDSUpdate(shard, host, namespace, folded(endpoints))
}

func (f folding) EDSCacheUpdate(
	shard model.ShardKey, host string, namespace string, endpoints []*model.IstioEndpoint,
) {
	f.XDSUpdater.EDSCacheUpdate(shard, host, namespace, folded(endpoints))
}

func folded(endpoints []*model.IstioEndpoint) []*model.IstioEndpoint {
	reachable := make([]*model.IstioEndpoint, 0, len(endpoints))
	for _, endpoint := range endpoints {
		address, err := netip.ParseAddr(endpoint.FirstAddressOrNil())
		if err != nil || !podNetwork.Contains(address) {
			reachable = append(reachable, endpoint)
			continue
		}
		local := endpoint.ShallowCopy()
		bytes := address.As4()
		bytes[0] = 127
		local.Addresses = []string{netip.AddrFrom4(bytes).String()}
		if local.EndpointPort < privilegedPorts {
			local.EndpointPort += privilegedPortOffset
		}
		reachable = append(reachable, local)
	}
	return reachable
}

// loopbackListeners keeps every listener of Istio's on this machine.
type loopbackListeners struct {
	xds.LdsGenerator
}

func (l loopbackListeners) Generate(
	proxy *model.Proxy, watched *model.WatchedResource, request *model.PushRequest,
) (model.Resources, model.XdsLogDetails, error) {
	resources, details, err := l.LdsGenerator.Generate(proxy, watched, request)
	for _, resource := range resources {
		listener := &listenerv3.Listener{}
		if err := resource.Resource.UnmarshalTo(listener); err != nil {
			return nil, details, err
		}
		bind(listener.GetAddress())
		for _, additional := range listener.GetAdditionalAddresses() {
			bind(additional.GetAddress())
		}
		resource.Resource = protoconv.MessageToAny(listener)
	}
	return resources, details, err
}

func bind(address *corev3.Address) {
	socket := address.GetSocketAddress()
	if socket == nil {
		return
	}
	if given, err := netip.ParseAddr(socket.GetAddress()); err != nil || !given.IsLoopback() {
		socket.Address = loopback
	}
}
