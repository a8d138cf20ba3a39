// Package document is the catalog as code: YAML files, or JSON, which is YAML too,
// read strictly and with the place of every fault, and written the same each time.
package document

import (
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// Codec is a catalog.Documents.
type Codec struct{}

var _ catalog.Documents = Codec{}

// fileDoc is one document of a file.
type fileDoc struct {
	Modules []moduleDoc `json:"modules,omitempty"`
	Paths   []pathDoc   `json:"paths,omitempty"`
}

type moduleDoc struct {
	ID string `json:"id"`
	catalog.ModuleContent
	publicationDoc
}

type pathDoc struct {
	ID string `json:"id"`
	catalog.PathContent
}

// publicationDoc is what a file may say of the next version.
type publicationDoc struct {
	ChangeClass   catalog.ChangeClass `json:"changeClass,omitempty"`
	Retake        catalog.Retake      `json:"retake,omitempty"`
	EffectiveTime moment              `json:"effectiveTime,omitzero"`
}
