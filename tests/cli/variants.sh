#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# examples/variants from the outside, against the same steps typed into a shell.
. "$(dirname "$0")/lib.sh"
needs python3 bowtie2 samtools bcftools

# Several tests and the quickstart may share one copy of the data.
data=${WEIR_TEST_DATA:-$builddir/data}
"$examples/variants/fetch" "$data" >fetch.log 2>&1 || skip_all "the data cannot be fetched: $(tail -n 1 fetch.log)"
cp -r "$data" data
run='weir run '$examples'/variants/variants.rf -genome data/lambda_virus.fa -reads data/reads'

# by_hand DIR CHUNKS: the flow without weir.
by_hand() (
	set -e -o pipefail
	mkdir -p "$1"/parts "$1"/chunks
	cp data/lambda_virus.fa "$1/genome.fa"
	samtools faidx "$1/genome.fa"
	bowtie2-build --quiet --threads 1 --seed 1 "$1/genome.fa" "$1/genome"
	pairs=$(($(gzip -dc data/reads/lambda_1.fq.gz | wc -l) / 4))
	for mate in 1 2; do
		gzip -dc data/reads/lambda_$mate.fq.gz |
			split -d -a 3 -l $(((pairs + $2 - 1) / $2 * 4)) --additional-suffix=_$mate.fq - "$1/parts/"
	done
	for mates in "$1"/parts/*_1.fq; do
		id=$(basename "$mates" _1.fq)
		bowtie2 --threads 1 --seed 1 --rg-id lambda.$id --rg SM:lambda -x "$1/genome" \
			-1 "$mates" -2 "${mates%_1.fq}_2.fq" | grep -v '^@PG' |
			samtools sort --no-PG -m 64M -T "$1/sort" -O bam -o "$1/chunks/$id.bam" -
	done
	samtools merge --no-PG -f "$1/bam" "$1"/chunks/*.bam
	bcftools mpileup --no-version -O v -f "$1/genome.fa" "$1/bam" | grep -v '^##reference=' |
		bcftools call --no-version --ploidy 1 -m -v -O v |
		bcftools norm --no-version -f "$1/genome.fa" -O v -o "$1/raw"
	bcftools view --no-version -i 'QUAL>=30' -O v -o "$1/vcf" "$1/raw"
	bcftools view --no-version -i 'QUAL>=100' -O v -o "$1/vcf100" "$1/raw"
)

test_case 'the steps by hand' '
	by_hand hand 4
'

test_case 'the first run' '
	expect_exit 0 $run
	expect_match out "^\{vcf: file\(.*\), bam: file\(.*\), table: file\(.*\)\}$"
	cp out first.out
	# Bowtie index, split, four chunks, merge, FASTA index, calls, filter, types, table.
	expect_execs 12
'

test_case 'alignments and variants are what the steps by hand gave, to the byte' '
	expect_exit 0 weir get last got
	cmp got/bam hand/bam
	cmp got/vcf hand/vcf
'

test_case 'the table' '
	expect_file got/table "\
sample       chunk       reads  aligned
lambda       000          5000     4718
lambda       001          5000     4725
lambda       002          5000     4703
lambda       003          5000     4698
all                      20000    18844

variants with a quality of 30 or more
snps               33
indels             52"
'

test_case 'the second run executes nothing, prints the same, and is done in a second' '
	start=$(now_ms)
	expect_exit 0 $run
	end=$(now_ms)
	cmp out first.out
	expect_execs 0
	[ $((end - start)) -lt 1000 ] || fail "it took $((end - start)) ms"
'

test_case 'another threshold filters, counts and tabulates' '
	expect_exit 0 $run -minqual 100
	expect_execs 3
	expect_exit 0 weir get last got100
	cmp got100/vcf hand/vcf100
	cmp got100/bam hand/bam
'

test_case 'one base of one read aligns its chunk again, and no other' '
	gzip -dc data/reads/lambda_1.fq.gz | sed "2s/^T/A/" | gzip -n >reads.tmp
	mv reads.tmp data/reads/lambda_1.fq.gz
	expect_exit 0 $run
	# Split, the first chunk, merge, calls, filter; types and table only if the filtered variants or counts changed.
	count=$(record_count "$(run_id)" started)
	[ "$count" -ge 4 ] && [ "$count" -le 7 ] || fail "$count execs were started"
	expect_exit 0 weir info "$(run_id)"
'

test_case 'seven chunks give the same variants' '
	cp "$data/reads/lambda_1.fq.gz" data/reads/
	expect_exit 0 $run -chunks 7
	# Split, seven chunks, merge, calls, table. The variants come out as the same bytes: no filter, no types.
	expect_execs 11
	expect_exit 0 weir get last got7
	cmp got7/vcf hand/vcf
'

test_done
