# SPDX-License-Identifier: Apache-2.0
# The commands of examples/variants, one by one, for make: what weir-bench measures weir against. GENOME and READS are given.
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.SUFFIXES:
.DELETE_ON_ERROR:
CHUNKS := 000 001 002 003

table: types $(CHUNKS:%=%.counts)
	row='%-12s %-8s %8s %8s\n'; \
	printf "$$row" sample chunk reads aligned > $@; \
	cat $(CHUNKS:%=%.counts) | awk -F '\t' -v row="$$row" \
		'{ printf row, $$1, $$2, $$3, $$4; reads += $$3; aligned += $$4 } END { printf row, "all", "", reads, aligned }' >> $@; \
	echo >> $@; \
	echo 'variants with a quality of 30 or more' >> $@; \
	awk -F '\t' '{ printf "%-12s %8d\n", $$1, $$2 }' types >> $@

genome.1.bt2:
	bowtie2-build --quiet --threads 1 --seed 1 $(GENOME) genome

000_1.fq:
	pairs=$$(( $$(gzip -dc $(READS)/lambda_1.fq.gz | wc -l) / 4 )); \
	lines=$$(( (pairs + 3) / 4 * 4 )); \
	for mate in 1 2; do \
		gzip -dc $(READS)/lambda_$$mate.fq.gz | split -d -a 3 -l $$lines --additional-suffix=_$$mate.fq - ./; \
	done

$(CHUNKS:%=%.counts): %.counts: genome.1.bt2 000_1.fq
	bowtie2 --threads 1 --seed 1 --rg-id lambda.$* --rg SM:lambda -x genome -1 $*_1.fq -2 $*_2.fq | grep -v '^@PG' | \
		samtools sort --no-PG -m 64M -T sort.$* -O bam -o $*.bam -; \
	reads=$$(samtools view -c -F 0x900 $*.bam); \
	mapped=$$(samtools view -c -F 0x904 $*.bam); \
	printf '%s\t%s\t%d\t%d\n' lambda $* "$$reads" "$$mapped" > $@

aligned.bam: $(CHUNKS:%=%.counts)
	samtools merge --no-PG -f $@ $(CHUNKS:%=%.bam)
	samtools index $@ $@.bai

genome.fa:
	cp $(GENOME) $@
	samtools faidx $@

raw.vcf: genome.fa aligned.bam
	bcftools mpileup --no-version -O v -f genome.fa aligned.bam | grep -v '^##reference=' | \
		bcftools call --no-version --ploidy 1 -m -v -O v | bcftools norm --no-version -f genome.fa -O v -o $@

vcf: raw.vcf
	bcftools view --no-version -i 'QUAL>=30' -O v -o $@ raw.vcf

types: vcf
	for type in snps indels; do \
		printf '%s\t%d\n' $$type $$(bcftools view --no-version -H -v $$type vcf | wc -l) >> $@; \
	done
