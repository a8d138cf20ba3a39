package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"io"
	"os"
	"slices"
	"time"
)

// file is what an archive holds: a content, or what is in another file.
type file struct {
	name    string
	from    string
	content []byte
	mode    int64
}

// writeNew writes a file that is not there yet.
func writeNew(path string, write func(io.Writer) error) (err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	return write(out)
}

// writeArchive writes the files in a folder, as a compressed tar that depends on nothing else:
// sorted by name, owned by root, at one time.
func writeArchive(path, folder string, at time.Time, files []file) error {
	return writeNew(path, func(out io.Writer) error {
		zip, err := gzip.NewWriterLevel(out, gzip.BestCompression) // its header has no name and no time
		if err != nil {
			return err
		}
		if err := writeTar(zip, folder, at, files); err != nil {
			return err
		}
		return zip.Close()
	})
}

func writeTar(to io.Writer, folder string, at time.Time, files []file) error {
	files = slices.SortedFunc(slices.Values(files), func(a, b file) int { return cmp.Compare(a.name, b.name) })
	t := tar.NewWriter(to)
	head := tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: at, Format: tar.FormatUSTAR}
	if err := t.WriteHeader(&head); err != nil {
		return err
	}
	for _, f := range files {
		content := f.content
		if f.from != "" {
			var err error
			if content, err = os.ReadFile(f.from); err != nil {
				return err
			}
		}
		head := tar.Header{
			Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Size: int64(len(content)), Mode: f.mode, ModTime: at, Format: tar.FormatUSTAR,
		}
		if err := t.WriteHeader(&head); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return t.Close()
}
