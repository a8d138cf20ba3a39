package server

import (
	"context"
	"fmt"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// identityEvery is how often the files of a certificate are looked at without a handshake.
const identityEvery = 5 * time.Second

// openIdentity takes the mounted certificates, or makes one in the data folder.
func (p *process) openIdentity(ctx context.Context) error {
	var err error
	hint := ""
	if p.cfg.TLSCert != "" {
		p.identity, err = rpc.FileIdentity(p.cfg.Only, p.cfg.TLSCert, p.cfg.TLSKey, p.cfg.TLSCA, p.now)
		hint = ": see --tls-cert, --tls-key and --tls-ca"
	} else {
		p.identity, err = rpc.LocalPKI(p.cfg.Data, p.cfg.Only, p.now)
	}
	if err != nil {
		return fmt.Errorf("no certificate to show to the other services: %w%s", err, hint)
	}
	p.measureIdentity()
	p.logIdentity(ctx)
	return nil
}

// logIdentity logs once when another certificate is used or other authorities are, and once when changed files
// cannot be.
// They need not fit together in the middle of a change, so a fault is one when it is met twice.
func (p *process) logIdentity(ctx context.Context) {
	run := p.untilStop(ctx)
	ends, trusted, met, logged := p.identity.Expires(), p.identity.Roots(), "", ""
	tick := time.NewTicker(identityEvery)
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
			}
			fault := ""
			if err := p.identity.Unused(); err != nil {
				fault = errs.OneLine(err)
			}
			if fault != "" && fault == met && fault != logged {
				p.log.WarnContext(run, "the files of the certificate changed and cannot be used; what was read before stays in use", "error", fault, "ends", ends)
			}
			if fault == met {
				logged = fault
			}
			met = fault
			if now := p.identity.Expires(); !now.Equal(ends) {
				ends = now
				p.log.InfoContext(run, "the certificate is a new one", "ends", ends)
			}
			if now := p.identity.Roots(); !now.Equal(trusted) {
				trusted = now
				p.log.InfoContext(run, "other authorities are trusted")
			}
		}
	}()
}
