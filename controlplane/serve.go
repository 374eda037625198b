package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// stopGrace is how long requests may take to end once we are asked to stop. They take a tenth of it;
// the server would then wait up to two seconds for the connections, its own to itself among them.
const stopGrace = 500 * time.Millisecond

// closeGrace is how long etcd may take to close. It waits for its clients, which the server above may still hold;
// an end without it is a crash, and loses nothing.
const closeGrace = 500 * time.Millisecond

// serve is kube-apiserver, with its flags, on an etcd of its own. It runs until SIGTERM or SIGINT, or, with --with-parent, until standard input ends.
func serve(args []string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // 250 MB instead of 300 when idle, for a little CPU
	}
	ctx := genericapiserver.SetupSignalContext()
	server := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	data := flags.String("data-dir", "", "folder that holds everything; one process at a time")
	withParent := flags.Bool("with-parent", false, "stop when standard input ends, which it does when the parent dies, however it dies")
	for _, set := range server.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *data == "" {
		return errors.New("--data-dir is missing")
	}
	held, err := lock(*data)
	if err != nil {
		return err
	}
	defer held.Close()
	if *withParent {
		go stopWithInput()
	}
	etcd, address, err := startEtcd(*data)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(strings.TrimPrefix(address, "unix://")))
	defer closeEtcd(etcd)
	server.Etcd.StorageConfig.Transport.ServerList = []string{address}
	server.SecureServing.ServerCert.CertDirectory = filepath.Join(*data, "certificates")
	return run(ctx, server)
}

func closeEtcd(etcd *embed.Etcd) {
	closed := make(chan struct{})
	go func() { etcd.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(closeGrace):
	}
}

// stopWithInput asks this process to stop as SIGTERM does.
func stopWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

// run is what kube-apiserver's own command does, with the controllers hung on.
func run(ctx context.Context, options *options.ServerRunOptions) error {
	registry := options.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := registry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // the controllers' own requests are nobody's to correct
	if err := logsapi.ValidateAndApply(options.Logs, registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)); err != nil {
		return err
	}
	completed, err := options.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return utilerrors.NewAggregate(errs)
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return err
	}
	ready, err := config.Complete()
	if err != nil {
		return err
	}
	server, err := app.CreateServerChain(ready)
	if err != nil {
		return err
	}
	if err := server.GenericAPIServer.AddPostStartHook("controllers", startControllers); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- prepared.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopGrace):
		return nil
	}
}
