package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdStart bounds how long etcd may take until it serves. It takes well under a second, on a busy machine too.
const etcdStart = 60 * time.Second

// lockTries and lockPause outlast those who only look whether the lock is held, for which they must take it for an instant.
const (
	lockTries = 10
	lockPause = 20 * time.Millisecond
)

// lock makes this process the only one on the folder; the lock is held until the process ends, however it ends.
// Without it a second etcd on the same folder would wait for ever, silently and deaf to SIGTERM.
func lock(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for range lockTries {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			break
		}
		time.Sleep(lockPause)
	}
	if err != nil {
		holder, _ := os.ReadFile(file.Name())
		return nil, fmt.Errorf("%s is in use by process %s", folder, strings.TrimSpace(string(holder)))
	}
	return file, errors.Join(file.Truncate(0), write(file, fmt.Sprintln(os.Getpid())))
}

func write(file *os.File, text string) error {
	_, err := file.WriteString(text)
	return err
}

// socketFolder is a new folder that only this user can enter, with a name short enough for a socket (104 bytes on macOS).
// The one that a killed predecessor on the same data left behind is removed.
func socketFolder(data string) (string, error) {
	record := filepath.Join(data, "socket-folder")
	if old, err := os.ReadFile(record); err == nil {
		_ = os.Remove(filepath.Join(string(old), "s"))
		_ = os.Remove(string(old))
	}
	folder, err := os.MkdirTemp("", "etcd-")
	if err != nil {
		return "", err
	}
	return folder, os.WriteFile(record, []byte(folder), 0o600)
}

// startEtcd returns a serving etcd, which has its data in the folder, and the address for its one client.
func startEtcd(data string) (*embed.Etcd, string, error) {
	folder, err := socketFolder(data)
	if err != nil {
		return nil, "", err
	}
	client := url.URL{Scheme: "unix", Path: filepath.Join(folder, "s")}
	config := embed.NewConfig()
	config.Dir = filepath.Join(data, "etcd")
	config.ListenClientUrls = []url.URL{client}
	config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}} // a unix address would become an abstract socket, open to all
	config.LogLevel = "fatal"                                                // closing it is noisy at "error"
	config.UnsafeNoFsync = true                                              // survives the death of the process, not of the machine
	config.TickMs, config.ElectionMs = 10, 100                               // one member elects itself: the default waits a second
	config.MaxRequestBytes = 4 << 20
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, "", fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, client.String(), nil
	case err := <-etcd.Err():
		return nil, "", fmt.Errorf("etcd: %w", err)
	case <-time.After(etcdStart):
		etcd.Close()
		return nil, "", fmt.Errorf("etcd: not ready after %s", etcdStart)
	}
}
