package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	listers "k8s.io/client-go/listers/core/v1"
)

// resync is how often every Service is looked at again: it bounds how long a failed write stays unrepaired.
const resync = 5 * time.Second

// newLoadBalancerCommand builds the controller that stands in for a cloud's: it gives each Service of type
// LoadBalancer an address from a range that the machine routes to the node, where kube-proxy serves it.
func newLoadBalancerCommand() *cobra.Command {
	var kubeconfig, addresses string
	command := &cobra.Command{
		Use:   "load-balancer",
		Short: "Give Services of type LoadBalancer an address",
		RunE: func(command *cobra.Command, _ []string) error {
			pool, err := netip.ParsePrefix(addresses)
			if err != nil {
				return fmt.Errorf("failed to read --addresses: %w", err)
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("failed to read --kubeconfig: %w", err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("failed to build the client: %w", err)
			}
			return run(command.Context(), client, pool)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file with the credentials to use")
	command.Flags().StringVar(&addresses, "addresses", "198.19.1.0/24", "range to take addresses from")
	return command
}

// run watches Services for ever. One worker serves all, so that no address is given twice.
func run(ctx context.Context, client kubernetes.Interface, pool netip.Prefix) error {
	factory := informers.NewSharedInformerFactory(client, resync)
	services := factory.Core().V1().Services()
	wake := make(chan struct{}, 1)
	notify := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	_, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	})
	if err != nil {
		return fmt.Errorf("failed to watch Services: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	given := map[types.UID]netip.Addr{}
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
		if err := assignAll(ctx, client, services.Lister(), pool, given); err != nil {
			klog.ErrorS(err, "failed to assign addresses, trying again at the next resync")
		}
	}, 0)
	return ctx.Err()
}

// assignAll gives every Service that waits for an address the one that it asks for, else the lowest free one, and takes
// it away from those that are no longer of type LoadBalancer or ask for another. One that asks for what is not there
// goes on waiting.
//
// given holds what was given last, because the lister learns of a write only after a moment.
func assignAll(
	ctx context.Context,
	client kubernetes.Interface,
	lister listers.ServiceLister,
	pool netip.Prefix,
	given map[types.UID]netip.Addr,
) error {
	services, err := lister.List(labels.Everything())
	if err != nil {
		return err
	}
	used, known := map[netip.Addr]bool{}, map[types.UID]bool{}
	for _, service := range services {
		known[service.UID] = true
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if address, err := netip.ParseAddr(ingress.IP); err == nil {
				used[address] = true
			}
		}
	}
	maps.DeleteFunc(given, func(service types.UID, _ netip.Addr) bool { return !known[service] })
	for _, address := range given {
		used[address] = true
	}
	for _, service := range services {
		if service.Spec.LoadBalancerClass != nil {
			continue
		}
		before := service.Status.LoadBalancer.Ingress
		entrances := entrancesOf(service, pool, used)
		if slices.EqualFunc(before, entrances, func(a, b corev1.LoadBalancerIngress) bool { return a.IP == b.IP }) {
			continue
		}
		changed := service.DeepCopy()
		changed.Status.LoadBalancer.Ingress = entrances
		_, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
		if err != nil {
			klog.ErrorS(err, "failed to write the address of a Service", "service", klog.KObj(service))
			continue
		}
		delete(given, service.UID)
		for _, entrance := range entrances {
			if address, err := netip.ParseAddr(entrance.IP); err == nil {
				given[service.UID] = address
			}
		}
	}
	return nil
}

// entrancesOf is where a Service is to be reached: the address that it has while it may keep it, the one that it asks for
// if that is free, or the lowest free one. It marks the address as used.
func entrancesOf(service *corev1.Service, pool netip.Prefix, used map[netip.Addr]bool) []corev1.LoadBalancerIngress {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	has, asked := service.Status.LoadBalancer.Ingress, service.Spec.LoadBalancerIP
	if len(has) > 0 && (asked == "" || asked == has[0].IP) {
		return has
	}
	address, free := firstFree(pool, used)
	if asked != "" {
		var err error
		address, err = netip.ParseAddr(asked)
		free = err == nil && pool.Contains(address) && !used[address]
	}
	if !free {
		klog.InfoS("no address for a Service", "service", klog.KObj(service), "asked", asked, "pool", pool)
		return nil
	}
	used[address] = true
	mode := corev1.LoadBalancerIPModeVIP
	return []corev1.LoadBalancerIngress{{IP: address.String(), IPMode: &mode}}
}

// firstFree is the lowest address of the pool that nobody uses; .0 and .255 of a /24 are never given out.
func firstFree(pool netip.Prefix, used map[netip.Addr]bool) (netip.Addr, bool) {
	for address := pool.Masked().Addr().Next(); pool.Contains(address.Next()); address = address.Next() {
		if !used[address] {
			return address, true
		}
	}
	return netip.Addr{}, false
}
