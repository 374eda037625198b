package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

const (
	// collectorSync is how soon the collector learns of a new kind. kube-controller-manager takes 30 s, longer than a test.
	collectorSync = time.Second
	// collectorStart bounds its wait for the first lists, as in kube-controller-manager.
	collectorStart = 30 * time.Second
	// namespaceResync repeats what a lost event missed, as in kube-controller-manager.
	namespaceResync = 5 * time.Minute
	// workers is enough for one machine; kube-controller-manager has 20 and 10.
	workers = 5
)

// startControllers is a post-start hook: its context holds a privileged client of this very server, and ends with it.
func startControllers(hook genericapiserver.PostStartHookContext) error {
	config := rest.CopyConfig(hook.LoopbackClientConfig)
	config.QPS, config.Burst = -1, 0 // no throttle: the server is in this process
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("metadata client: %w", err)
	}
	shared, metaShared, started := informers.NewSharedInformerFactory(kube, 0), metadatainformer.NewSharedInformerFactory(meta, 0), make(chan struct{})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery()))
	collector, err := garbagecollector.NewGarbageCollector(hook, kube, meta, mapper, garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(shared, metaShared), started)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	namespaces := namespace.NewNamespaceController(hook, kube, meta, kube.Discovery().ServerPreferredNamespacedResources,
		shared.Core().V1().Namespaces(), namespaceResync, corev1.FinalizerKubernetes)
	// Without it the roles view, edit and admin are empty.
	roles := clusterroleaggregation.NewClusterRoleAggregation(shared.Rbac().V1().ClusterRoles(), kube.RbacV1())
	shared.Start(hook.Done())
	metaShared.Start(hook.Done())
	close(started)
	go collector.Run(hook, workers, collectorStart)
	go collector.Sync(hook, kube.Discovery(), collectorSync)
	go namespaces.Run(hook, workers)
	go roles.Run(hook, workers)
	return nil
}
