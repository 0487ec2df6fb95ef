package main

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	configaggregate "istio.io/istio/pilot/pkg/config/aggregate"
	"istio.io/istio/pilot/pkg/config/kube/crdclient"
	"istio.io/istio/pilot/pkg/keycertbundle"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/server"
	"istio.io/istio/pilot/pkg/serviceregistry/aggregate"
	kubecontroller "istio.io/istio/pilot/pkg/serviceregistry/kube/controller"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pilot/pkg/serviceregistry/serviceentry"
	"istio.io/istio/pilot/pkg/xds"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh/kubemesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/schema/kind"
	kubelib "istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/kclient"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/kube/namespace"
	"istio.io/istio/pkg/util/sets"
)

const (
	systemNamespace = "istio-system"
	meshConfigMap   = "istio"
	clusterID       = cluster.ID(provider.Kubernetes)
	requestsASecond = 500
)

// discovery is Istio's configuration server with everything that feeds it.
type discovery struct {
	xds             *xds.DiscoveryServer
	client          kubelib.Client
	services        *aggregate.Controller
	clusters        *multicluster.Controller
	config          model.ConfigStoreController
	virtualServices *model.VirtualServiceController
	components      server.Instance
}

func assemble(kubeconfig string, stop chan struct{}) (*discovery, error) {
	environment := model.NewEnvironment()
	environment.DomainSuffix = constants.DefaultClusterLocalDomain
	d := &discovery{components: server.New()}
	d.services = aggregate.NewController(
		aggregate.Options{MeshHolder: environment, ConfigClusterID: clusterID})
	environment.ServiceDiscovery = d.services
	debugger := new(krt.DebugHandler)
	d.xds = xds.NewDiscoveryServer(environment, nil, debugger)
	generator := core.NewConfigGenerator(d.xds.Cache)

	if err := d.connect(kubeconfig); err != nil {
		return nil, err
	}
	d.watchMeshConfig(environment, generator, debugger, stop)
	environment.Init()
	if err := environment.InitNetworksManager(d.xds); err != nil {
		return nil, err
	}
	d.clusters = multicluster.NewController(multicluster.ControllerOptions{
		Client: d.client, ClusterID: clusterID, SystemNamespace: systemNamespace,
		MeshConfig: environment.Watcher, Debugger: debugger,
	})
	if err := d.readConfig(environment, debugger); err != nil {
		return nil, err
	}
	d.readServices(environment, debugger)
	d.setGenerators(environment, generator)
	d.pushChanges()
	return d, nil
}

func (d *discovery) connect(kubeconfig string) error {
	access, err := kubelib.DefaultRestConfig(kubeconfig, "", func(config *rest.Config) {
		config.QPS, config.Burst = requestsASecond, 2*requestsASecond
	})
	if err != nil {
		return err
	}
	client, err := kubelib.NewClient(kubelib.NewClientConfigForRestConfig(access), clusterID)
	if err != nil {
		return err
	}
	d.client = kubelib.EnableCrdWatcher(client)
	return nil
}

// watchMeshConfig takes the mesh's settings from the usual ConfigMap; it waits for the first answer.
func (d *discovery) watchMeshConfig(
	environment *model.Environment, generator core.ConfigGenerator,
	debugger *krt.DebugHandler, stop chan struct{},
) {
	options := krt.NewOptionsBuilder(stop, "", debugger)
	source := func(key string) meshwatcher.MeshConfigSource {
		return kubemesh.NewConfigMapSource(d.client, systemNamespace, meshConfigMap, key, options)
	}
	settings := meshwatcher.NewCollection(options, source(kubemesh.MeshConfigKey))
	settings.AsCollection().WaitUntilSynced(stop)
	environment.Watcher = meshwatcher.ConfigAdapter(settings)
	networks := meshwatcher.NewNetworksCollection(options, source(kubemesh.MeshNetworksKey))
	networks.AsCollection().WaitUntilSynced(stop)
	environment.NetworksWatcher = meshwatcher.NetworksAdapter(networks)
	environment.AddMeshHandler(func() {
		generator.MeshConfigChanged(environment.Mesh())
		d.xds.ConfigUpdate(&model.PushRequest{
			Full: true, Forced: true, Reason: model.NewReasonStats(model.GlobalUpdate),
		})
	})
	namespaces := kclient.New[*corev1.Namespace](d.client)
	filter := namespace.NewDiscoveryNamespacesFilter(namespaces, environment.Watcher, stop)
	d.client = kubelib.SetObjectFilter(d.client, filter)
}

func (d *discovery) readConfig(environment *model.Environment, debugger *krt.DebugHandler) error {
	objects := crdclient.NewForSchemas(d.client, crdclient.Option{
		DomainSuffix: environment.DomainSuffix, Identifier: "crd-controller", KrtDebugger: debugger,
	}, collections.Pilot)
	store, err := configaggregate.MakeCache([]model.ConfigStoreController{objects})
	if err != nil {
		return err
	}
	d.config = store
	environment.ConfigStore = store
	d.virtualServices = model.NewVirtualServiceController(
		store, model.VSControllerOptions{KrtDebugger: debugger, XDSUpdater: d.xds}, environment.Watcher)
	environment.VirtualServiceController = d.virtualServices
	return nil
}

func (d *discovery) readServices(environment *model.Environment, debugger *krt.DebugHandler) {
	updater := folding{d.xds}
	entries := serviceentry.NewController(d.config, updater, d.clusters, environment.Watcher,
		serviceentry.WithClusterID(clusterID), serviceentry.WithKRTDebugger(debugger))
	d.services.AddRegistry(entries)
	kubecontroller.NewMulticluster("xds", kubecontroller.Options{
		SystemNamespace:       systemNamespace,
		MeshServiceController: d.services,
		DomainSuffix:          environment.DomainSuffix,
		ClusterID:             clusterID,
		Metrics:               environment,
		XDSUpdater:            updater,
		MeshNetworksWatcher:   environment.NetworksWatcher,
		MeshWatcher:           environment.Watcher,
		KubernetesAPIQPS:      requestsASecond,
		KubernetesAPIBurst:    2 * requestsASecond,
		KrtDebugger:           debugger,
	}, entries, keycertbundle.NewWatcher(), "", false, environment.ClusterLocal(), d.components, d.clusters)
}

func (d *discovery) setGenerators(environment *model.Environment, generator core.ConfigGenerator) {
	d.xds.Generators = map[string]model.XdsResourceGenerator{
		v3.ClusterType:  &xds.CdsGenerator{ConfigGenerator: generator},
		v3.ListenerType: loopbackListeners{xds.LdsGenerator{ConfigGenerator: generator}},
		v3.RouteType:    &xds.RdsGenerator{ConfigGenerator: generator},
		v3.EndpointType: &xds.EdsGenerator{Cache: d.xds.Cache, EndpointIndex: environment.EndpointIndex},
	}
}

// pushChanges sends Envoys new configuration when services or Istio's objects change. What the
// controllers of VirtualServices and ServiceEntries announce by themselves is left to them.
func (d *discovery) pushChanges() {
	d.services.AppendServiceHandler(func(_, current *model.Service, _ model.Event) {
		d.xds.ConfigUpdate(changed(model.ServiceUpdate, model.ConfigKey{
			Kind: kind.ServiceEntry, Name: string(current.Hostname), Namespace: current.Attributes.Namespace,
		}))
	})
	itself := sets.New(gvk.VirtualService, gvk.ServiceEntry, gvk.WorkloadEntry, gvk.WorkloadGroup)
	for _, schema := range collections.Pilot.All() {
		group := schema.GroupVersionKind()
		if itself.Contains(group) {
			continue
		}
		d.config.RegisterEventHandler(group, func(previous, current config.Config, event model.Event) {
			if event == model.EventUpdate && !model.NeedsPush(previous, current) {
				return
			}
			d.xds.ConfigUpdate(changed(model.ConfigUpdate, model.ConfigKey{
				Kind: gvk.MustToKind(current.GroupVersionKind), Name: current.Name, Namespace: current.Namespace,
			}))
		})
	}
}

func changed(reason model.TriggerReason, key model.ConfigKey) *model.PushRequest {
	return &model.PushRequest{
		Full: true, ConfigsUpdated: sets.New(key), Reason: model.NewReasonStats(reason),
	}
}

// start returns once everything that is in the API server now is in what Envoys are told.
func (d *discovery) start(stop chan struct{}) error {
	go d.clusters.Run(stop)
	go d.config.Run(stop)
	go d.virtualServices.Run(stop)
	go d.services.Run(stop)
	go d.xds.Start(stop)
	if err := d.components.Start(stop); err != nil {
		return err
	}
	d.client.RunAndWait(stop)
	if !kubelib.WaitForCacheSync("xds", stop, d.synced) {
		return errors.New("the API server's objects could not be read")
	}
	seen := d.xds.InboundUpdates.Load()
	told := func() bool { return d.xds.CommittedUpdates.Load() >= seen }
	if !kubelib.WaitForCacheSync("push context", stop, told) {
		return errors.New("the API server's objects could not be translated")
	}
	d.xds.CachesSynced()
	return nil
}

func (d *discovery) synced() bool {
	return d.clusters.HasSynced() && d.services.HasSynced() && d.config.HasSynced() &&
		d.virtualServices.HasSynced()
}
